//! The page on which a customer authenticates a payment, in place of their bank's.
//!
//! It is a plain form, so that a browser and a script can send it:
//!
//! ```sh
//! curl $PAGE --data outcome=complete
//! curl $PAGE --data outcome=fail
//! ```

use std::net::SocketAddr;

use axum::{
    http::StatusCode,
    response::{Html, IntoResponse, Redirect, Response},
};
use reqwest::Url;
use serde::Deserialize;

use super::ledger::{Intent, IntentStatus, Refusal};

/// The path of the page to which customers return, in place of a shop's.
pub const RETURNED: &str = "/_sandbox/returned";

/// The address of the pages of a sandbox that listens there, without an intent's id at its end.
pub(super) fn pages(listener: SocketAddr) -> String {
    format!("http://{listener}/_sandbox/authentication")
}

/// What the customer does on the page. Who leaves it sends nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    Complete,
    Fail,
}

/// The page of an intent.
pub(super) fn page(intent: Result<&Intent, Refusal>) -> Response {
    match intent {
        Ok(intent) if intent.status == IntentStatus::RequiresAction => {
            Html(form(intent)).into_response()
        }
        Ok(_) => over(),
        Err(_) => (StatusCode::NOT_FOUND, message("There is no such payment.")).into_response(),
    }
}

/// The answer to a customer who has done this. It sends them back to the shop, as Stripe does: with
/// the intent and its client secret.
pub(super) fn decided(intent: Result<&Intent, Refusal>, outcome: Outcome) -> Response {
    let Ok(intent) = intent else { return over() };
    match back(intent, outcome) {
        Some(url) => Redirect::to(url.as_str()).into_response(),
        None => message("You can close this page.").into_response(),
    }
}

/// The page of the shop.
pub(super) fn returned() -> Response {
    message("You are back at the shop, and your order goes on. You can close this page.")
        .into_response()
}

fn back(intent: &Intent, outcome: Outcome) -> Option<Url> {
    let mut url = Url::parse(&intent.page.as_ref()?.return_url).ok()?;
    let status = match outcome {
        Outcome::Complete => "succeeded",
        Outcome::Fail => "failed",
    };
    url.query_pairs_mut()
        .append_pair("payment_intent", &intent.id)
        .append_pair("payment_intent_client_secret", &intent.client_secret())
        .append_pair("redirect_status", status);
    Some(url)
}

fn over() -> Response {
    (StatusCode::GONE, message("This payment needs no authentication.")).into_response()
}

fn form(intent: &Intent) -> String {
    let amount = format!("{} {}", intent.amount, intent.currency.to_ascii_uppercase());
    document(&format!(
        "<p>The bank asks whether you pay {amount} (in minor units). Close this page to leave.</p>\
         <form method=post>\
         <button name=outcome value=complete>Complete authentication</button> \
         <button name=outcome value=fail>Fail authentication</button>\
         </form>"
    ))
}

fn message(text: &str) -> Html<String> {
    Html(document(&format!("<p>{text}</p>")))
}

fn document(body: &str) -> String {
    format!(
        "<!doctype html><html lang=en><meta charset=utf-8><title>3D Secure test page</title>\
         <h1>3D Secure test page</h1>{body}</html>"
    )
}
