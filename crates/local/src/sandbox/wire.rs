//! Stripe's JSON of intents, refunds, disputes, events and errors, with all documented fields.

use std::ops::RangeInclusive;

use axum::http::Method;
use serde_json::{Map, Value, json};

use super::{
    disputes::Dispute,
    idempotency::Answer,
    ledger::{
        AuthenticationPage, Change, Failure, Intent, IntentStatus, PaymentMethod, Refund,
        RefundStatus, Refusal,
    },
};

/// The version of the API that defines this JSON.
pub(super) const API_VERSION: &str = "2025-10-29.clover";

pub(super) fn intent(intent: &Intent) -> Value {
    let types = intent.payment_method_types.clone().unwrap_or_else(|| vec!["card".into()]);
    let automatic = match intent.payment_method_types {
        Some(_) => Value::Null,
        None => json!({"allow_redirects": "never", "enabled": true}),
    };
    let next_action = match (intent.status, &intent.page) {
        (IntentStatus::RequiresAction, Some(AuthenticationPage { url, return_url })) => json!({
            "type": "redirect_to_url",
            "redirect_to_url": {"url": url, "return_url": return_url},
        }),
        (IntentStatus::RequiresAction, None) => {
            json!({"type": "use_stripe_sdk", "use_stripe_sdk": {}})
        }
        _ => Value::Null,
    };
    json!({
        "id": intent.id,
        "object": "payment_intent",
        "amount": intent.amount,
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": intent.captured(),
        "application": null,
        "application_fee_amount": null,
        "automatic_payment_methods": automatic,
        "canceled_at": intent.canceled_at,
        "cancellation_reason": intent.cancellation_reason,
        "capture_method": "automatic_async",
        "client_secret": intent.client_secret(),
        "confirmation_method": intent.confirmation_method,
        "created": intent.created,
        "currency": intent.currency,
        "customer": null,
        "description": null,
        "excluded_payment_method_types": null,
        "last_payment_error": intent.last_failure.as_ref().map(last_payment_error),
        "latest_charge": intent.latest_charge,
        "livemode": false,
        "metadata": intent.metadata,
        "next_action": next_action,
        "on_behalf_of": null,
        "payment_method": intent.payment_method.as_ref().map(|method| &method.id),
        "payment_method_configuration_details": null,
        "payment_method_options": {
            "card": {
                "installments": null,
                "mandate_options": null,
                "network": null,
                "request_three_d_secure": "automatic",
            },
        },
        "payment_method_types": types,
        "processing": null,
        "receipt_email": null,
        "review": null,
        "setup_future_usage": null,
        "shipping": null,
        "source": null,
        "statement_descriptor": null,
        "statement_descriptor_suffix": null,
        "status": intent.status,
        "transfer_data": null,
        "transfer_group": null,
    })
}

pub(super) fn refund(refund: &Refund) -> Value {
    let mut shape = json!({
        "id": refund.id,
        "object": "refund",
        "amount": refund.amount,
        "balance_transaction": refund.id.replacen("re_", "txn_", 1),
        "charge": refund.charge,
        "created": refund.created,
        "currency": refund.currency,
        "destination_details": {
            "card": {
                "reference_status": "pending",
                "reference_type": "acquirer_reference_number",
                "type": "refund",
            },
            "type": "card",
        },
        "metadata": refund.metadata,
        "payment_intent": refund.intent,
        "reason": refund.reason,
        "receipt_number": null,
        "source_transfer_reversal": null,
        "status": refund.status,
        "transfer_reversal": null,
    });
    if refund.status == RefundStatus::Failed {
        shape["failure_balance_transaction"] = refund.id.replacen("re_", "txn_failed_", 1).into();
        shape["failure_reason"] = "expired_or_canceled_card".into();
    }
    shape
}

pub(super) fn dispute(dispute: &Dispute) -> Value {
    let is_inquiry = dispute.status.is_inquiry();
    let mut evidence: Map<String, Value> =
        EVIDENCE.iter().map(|field| ((*field).to_owned(), Value::Null)).collect();
    evidence.insert("enhanced_evidence".to_owned(), json!({}));
    json!({
        "id": dispute.id,
        "object": "dispute",
        "amount": dispute.amount,
        "balance_transactions": [],
        "charge": dispute.charge,
        "created": dispute.created,
        "currency": dispute.currency,
        "enhanced_eligibility_types": [],
        "evidence": evidence,
        "evidence_details": {
            "due_by": dispute.created + EVIDENCE_WITHIN,
            "enhanced_eligibility": {},
            "has_evidence": false,
            "past_due": false,
            "submission_count": 0,
            "submission_method": "not_submitted",
        },
        "is_charge_refundable": is_inquiry,
        "livemode": false,
        "metadata": {},
        "network_reason_code": "10.4",
        "payment_intent": dispute.intent,
        "payment_method_details": {
            "card": {
                "brand": "visa",
                "case_type": if is_inquiry { "inquiry" } else { "chargeback" },
                "network": "visa",
                "network_reason_code": "10.4",
            },
            "type": "card",
        },
        "reason": dispute.reason,
        "status": dispute.status,
    })
}

/// The seconds within which a dispute has to be answered.
const EVIDENCE_WITHIN: i64 = 9 * 24 * 60 * 60;

/// What a merchant can answer a dispute with.
const EVIDENCE: [&str; 6] = [
    "access_activity_log",
    "customer_communication",
    "customer_name",
    "product_description",
    "receipt",
    "uncategorized_text",
];

/// An event with this id about a change.
pub(super) fn event(id: &str, change: &Change, now: i64) -> Value {
    let (kind, object) = match change {
        Change::RefundCreated(refund) => ("refund.created", self::refund(refund)),
        Change::RefundUpdated(refund) => ("refund.updated", self::refund(refund)),
        Change::RefundFailed(refund) => ("refund.failed", self::refund(refund)),
        Change::DisputeCreated(dispute) => ("charge.dispute.created", self::dispute(dispute)),
        Change::DisputeUpdated(dispute) => ("charge.dispute.updated", self::dispute(dispute)),
        Change::DisputeClosed(dispute) => ("charge.dispute.closed", self::dispute(dispute)),
    };
    json!({
        "id": id,
        "object": "event",
        "api_version": API_VERSION,
        "created": now,
        "data": {"object": object},
        "livemode": false,
        "pending_webhooks": 0,
        "request": {"id": null, "idempotency_key": null},
        "type": kind,
    })
}

/// The requested part of a list.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) limit: usize,
    /// The id of the last object of the previous page.
    pub(super) starting_after: Option<String>,
    /// When the objects were created, in seconds.
    pub(super) created: RangeInclusive<i64>,
}

/// A page of `objects`, which are sorted newest first.
pub(super) fn list(
    url: &str,
    kind: &str,
    mut objects: Vec<Value>,
    page: &Page,
) -> Result<Value, ApiError> {
    if let Some(last) = &page.starting_after {
        let at = objects.iter().position(|object| object["id"] == **last);
        objects.drain(..=at.ok_or_else(|| ApiError::no_such(kind, last, "starting_after"))?);
    }
    objects
        .retain(|object| object["created"].as_i64().is_some_and(|at| page.created.contains(&at)));
    let has_more = objects.len() > page.limit;
    objects.truncate(page.limit);
    Ok(json!({"object": "list", "data": objects, "has_more": has_more, "url": url}))
}

fn payment_method(method: &PaymentMethod) -> Value {
    json!({
        "id": method.id,
        "object": "payment_method",
        "allow_redisplay": "unspecified",
        "billing_details": {
            "address": {
                "city": null,
                "country": null,
                "line1": null,
                "line2": null,
                "postal_code": null,
                "state": null,
            },
            "email": null,
            "name": null,
            "phone": null,
            "tax_id": null,
        },
        "card": {
            "brand": "visa",
            "checks": {
                "address_line1_check": null,
                "address_postal_code_check": null,
                "cvc_check": "pass",
            },
            "country": "US",
            "display_brand": "visa",
            "exp_month": 8,
            "exp_year": 2034,
            "fingerprint": "AOB934RVNwzk6xtn",
            "funding": "credit",
            "generated_from": null,
            "last4": "4242",
            "networks": {"available": ["visa"], "preferred": null},
            "regulated_status": "unregulated",
            "three_d_secure_usage": {"supported": true},
            "wallet": null,
        },
        "created": method.created,
        "customer": null,
        "livemode": false,
        "metadata": {},
        "type": "card",
    })
}

fn last_payment_error(failure: &Failure) -> Value {
    ApiError::declined(failure).error.into()
}

/// An error answer.
#[derive(Debug)]
pub(super) struct ApiError {
    status: u16,
    pub(super) code: Option<&'static str>,
    pub(super) param: Option<String>,
    error: Map<String, Value>,
}

impl ApiError {
    /// The answer to the request with this id.
    pub(super) fn answer(mut self, request_id: &str) -> Answer {
        if matches!(self.status, 400 | 402 | 404) {
            let url = format!("https://dashboard.stripe.com/test/logs/{request_id}");
            self.error.insert("request_log_url".into(), url.into());
        }
        Answer { status: self.status, body: json!({"error": self.error}) }
    }

    fn new(status: u16, kind: &str, message: impl Into<String>) -> Self {
        let mut error = Map::new();
        error.insert("type".into(), kind.into());
        error.insert("message".into(), message.into().into());
        Self { status, code: None, param: None, error }
    }

    fn invalid(status: u16, message: impl Into<String>) -> Self {
        Self::new(status, "invalid_request_error", message)
    }

    fn code(mut self, code: &'static str) -> Self {
        let page = code.replace('_', "-");
        self.code = Some(code);
        self.with("code", code)
            .with("doc_url", format!("https://stripe.com/docs/error-codes/{page}"))
    }

    fn param(mut self, name: &str) -> Self {
        self.param = Some(name.to_owned());
        self.with("param", name)
    }

    fn with(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.error.insert(field.into(), value.into());
        self
    }

    pub(super) fn wrong_key(redacted: &str) -> Self {
        Self::invalid(401, format!("Invalid API Key provided: {redacted}"))
    }

    pub(super) fn secret_key_needed() -> Self {
        let message = "This API call cannot be made with a publishable API key. Please use a \
                       secret API key. You can find a list of your API keys at \
                       https://dashboard.stripe.com/account/apikeys.";
        Self::invalid(401, message).code("secret_key_required")
    }

    pub(super) fn no_key() -> Self {
        let message = "You did not provide an API key. You need to provide your API key in the \
                       Authorization header, using Bearer auth (e.g. 'Authorization: Bearer \
                       YOUR_SECRET_KEY'). See https://stripe.com/docs/api#authentication for \
                       details.";
        Self::invalid(401, message)
    }

    pub(super) fn unknown_route(method: &Method, path: &str) -> Self {
        Self::invalid(
            404,
            format!(
                "Unrecognized request URL ({method}: {path}). Please see https://stripe.com/docs \
                 or we can help at https://support.stripe.com/."
            ),
        )
    }

    pub(super) fn missing(name: &str) -> Self {
        Self::invalid(400, format!("Missing required param: {name}."))
            .code("parameter_missing")
            .param(name)
    }

    pub(super) fn empty(name: &str) -> Self {
        Self::invalid(
            400,
            format!(
                "You passed an empty string for '{name}'. We assume empty values are an attempt \
                 to unset a parameter; however '{name}' cannot be unset. You should remove \
                 '{name}' from your request or supply a non-empty value."
            ),
        )
        .code("parameter_invalid_empty")
        .param(name)
    }

    pub(super) fn not_an_integer(name: &str, value: &str) -> Self {
        Self::invalid(400, format!("Invalid integer: {value}"))
            .code("parameter_invalid_integer")
            .param(name)
    }

    pub(super) fn below_one(name: &str) -> Self {
        Self::invalid(400, "This value must be greater than or equal to 1.")
            .code("parameter_invalid_integer")
            .param(name)
    }

    pub(super) fn not_a_boolean(name: &str, value: &str) -> Self {
        Self::invalid(400, format!("Invalid boolean: {value}")).param(name)
    }

    pub(super) fn not_one_of(name: &str, values: &str) -> Self {
        Self::invalid(400, format!("Invalid {name}: must be one of {values}")).param(name)
    }

    pub(super) fn only_with_confirm(name: &str) -> Self {
        Self::invalid(400, format!("`{name}` can only be used when `confirm` is true.")).param(name)
    }

    pub(super) fn unknown_parameter(name: &str) -> Self {
        Self::invalid(400, format!("Received unknown parameter: {name}"))
            .code("parameter_unknown")
            .param(name)
    }

    /// A parameter names an object that does not exist.
    fn no_such(kind: &str, id: &str, param: &str) -> Self {
        Self::invalid(400, format!("No such {kind}: '{id}'")).code("resource_missing").param(param)
    }

    pub(super) fn currency(given: &str, known: &[&str]) -> Self {
        Self::invalid(
            400,
            format!(
                "Invalid currency: {given}. Stripe accounts in FR do not support {given}. Your \
                 account currently supports these currencies: {}",
                known.join(", ")
            ),
        )
        .param("currency")
    }

    pub(super) fn amount_too_small(message: impl Into<String>) -> Self {
        Self::invalid(400, message).code("amount_too_small").param("amount")
    }

    pub(super) fn fraction(currency: &str) -> Self {
        let currency = currency.to_ascii_uppercase();
        Self::invalid(
            400,
            format!(
                "Invalid amount. Currency {currency} has become effectively zero-decimal and \
                 charged amounts must be evenly divisible by 100. See \
                 https://stripe.com/docs/currencies#special-cases for more information."
            ),
        )
        .code("invalid_charge_amount_no_decimal_compatible")
        .param("amount")
    }

    pub(super) fn amount_too_large(maximum: u64) -> Self {
        Self::invalid(400, format!("Amount must be no more than {maximum}"))
            .code("amount_too_large")
            .param("amount")
    }

    pub(super) fn key_in_use(key: &str) -> Self {
        Self::invalid(
            409,
            format!(
                "There is currently another in-progress request using this Idempotent Key (that \
                 probably means you submitted twice, and the other request is still going \
                 through): {key}. Please try again later."
            ),
        )
        .code("idempotency_key_in_use")
    }

    pub(super) fn key_misused(key: &str) -> Self {
        Self::new(
            400,
            "idempotency_error",
            format!(
                "Keys for idempotent requests can only be used with the same parameters they were \
                 first used with. Try using a key other than '{key}' if you meant to execute a \
                 different request."
            ),
        )
    }

    /// The error with the status that a fault requires.
    pub(super) fn of_fault(status: u16) -> Self {
        match status {
            401 => Self::wrong_key("sk_test_****"),
            409 => Self::invalid(
                409,
                "This object cannot be accessed right now because another API request or Stripe \
                 process is currently accessing it.",
            )
            .code("lock_timeout"),
            429 => Self::invalid(
                429,
                "Request rate limit exceeded. Learn more about rate limits here \
                 https://stripe.com/docs/rate-limits.",
            )
            .code("rate_limit"),
            400..500 => Self::invalid(status, "A fault of the sandbox refuses this request."),
            _ => Self::new(status, "api_error", "An unknown error occurred"),
        }
    }

    fn declined(failure: &Failure) -> Self {
        let decline = &failure.decline;
        let mut error = Self::new(402, "card_error", decline.message)
            .code(decline.code)
            .with("payment_method", payment_method(&failure.payment_method));
        if let Some(decline_code) = decline.decline_code {
            error = error.with("decline_code", decline_code);
        }
        if let Some(charge) = &failure.charge {
            error = error.with("charge", charge.as_str());
        }
        error
    }

    fn unexpected_state(intent: &Intent, message: impl Into<String>) -> Self {
        Self::invalid(400, message)
            .code("payment_intent_unexpected_state")
            .with("payment_intent", self::intent(intent))
    }

    /// The error for a refusal of the ledger. `named_in` is the parameter that names the intent, or
    /// `None` if the path names it.
    pub(super) fn refused(refusal: Refusal, named_in: Option<&str>) -> Self {
        match refusal {
            Refusal::NoSuchIntent(id) => {
                let status = if named_in.is_some() { 400 } else { 404 };
                Self::invalid(status, format!("No such payment_intent: '{id}'"))
                    .code("resource_missing")
                    .param(named_in.unwrap_or("intent"))
            }
            Refusal::NoSuchRefund(id) => {
                Self::invalid(404, format!("No such refund: '{id}'")).code("resource_missing")
            }
            Refusal::NoSuchDispute(id) => Self::invalid(404, format!("No such dispute: '{id}'"))
                .code("resource_missing")
                .param("dispute"),
            Refusal::Disputed { charge } => Self::invalid(
                400,
                format!("The charge {charge} has been charged back; cannot issue a refund."),
            )
            .code("charge_disputed"),
            Refusal::DisputeOver => {
                Self::invalid(400, "This dispute is already closed").code("dispute_closed")
            }
            Refusal::NoSuchPaymentMethod(token) => {
                Self::no_such("PaymentMethod", &token, "payment_method")
            }
            Refusal::Declined(intent, failure) => {
                Self::declined(&failure).with("payment_intent", self::intent(&intent))
            }
            Refusal::NothingToConfirmWith(intent) => Self::unexpected_state(
                &intent,
                "You cannot confirm this PaymentIntent because it's missing a payment method. You \
                 can either update the PaymentIntent with a payment method and then confirm it \
                 again, or confirm it again directly with a payment method or ConfirmationToken.",
            ),
            Refusal::CannotConfirm(intent) => {
                let why = match intent.status {
                    IntentStatus::Succeeded => {
                        "it has already succeeded after being previously confirmed"
                    }
                    _ => "it has a status of canceled",
                };
                let message = format!("You cannot confirm this PaymentIntent because {why}.");
                Self::unexpected_state(&intent, message)
            }
            Refusal::OnlyByMerchant(id) => Self::invalid(
                400,
                format!(
                    "This PaymentIntent {id} cannot be confirmed using your publishable key \
                     because its `confirmation_method` is set to `manual`. Please use your secret \
                     key instead, or create a PaymentIntent with `confirmation_method` set to \
                     `automatic`."
                ),
            )
            .code("payment_intent_invalid_parameter"),
            Refusal::NothingToAuthenticate(intent) => {
                Self::unexpected_state(&intent, "This PaymentIntent requires no authentication.")
            }
            Refusal::CannotCancel(intent) => {
                let status = match intent.status {
                    IntentStatus::Succeeded => "succeeded",
                    _ => "canceled",
                };
                let message = format!(
                    "You cannot cancel this PaymentIntent because it has a status of {status}. \
                     Only a PaymentIntent with one of the following statuses may be canceled: \
                     requires_payment_method, requires_capture, requires_confirmation, \
                     requires_action, processing."
                );
                Self::unexpected_state(&intent, message)
            }
            Refusal::NothingCaptured(id) => Self::invalid(
                400,
                format!("This PaymentIntent ({id}) does not have a successful charge to refund."),
            )
            .param("payment_intent"),
            Refusal::AlreadyRefunded { charge } => {
                Self::invalid(400, format!("Charge {charge} has already been refunded."))
                    .code("charge_already_refunded")
            }
            Refusal::RefundExceeds { left } => Self::invalid(
                400,
                format!("Refund amount is greater than unrefunded amount on charge ({left})"),
            )
            .param("amount"),
        }
    }
}
