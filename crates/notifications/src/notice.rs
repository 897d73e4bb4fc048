//! Notices: which events they are about, and their text.

use jiff::Timestamp;
use minijinja::{Environment, ErrorKind, UndefinedBehavior, syntax::SyntaxConfig, value::Serde};
use shop::{
    decline::DeclineReason,
    event::{OrderData, OrderEvent},
    id::OrderId,
    money::{Currency, Money},
    order::{OrderEventType, PaymentStatus, Rejection},
};

/// A message to a customer, in plain text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The order that the notice is about.
    pub order: OrderId,
    /// The subject, which is one line.
    pub subject: String,
    /// The text after the subject.
    pub text: String,
}

/// The templates by file name. The first line of each is the subject.
///
/// A template is rendered with the event's [data](shop::event::OrderData). Its text must make sense
/// without earlier notices: a notice that a later one has overtaken is never sent.
const TEMPLATES: [(&str, &str); 8] = [
    ("confirmed.txt", include_str!("../templates/confirmed.txt")),
    ("ready.txt", include_str!("../templates/ready.txt")),
    ("rejected.txt", include_str!("../templates/rejected.txt")),
    ("cancelled.txt", include_str!("../templates/cancelled.txt")),
    ("expired.txt", include_str!("../templates/expired.txt")),
    ("refunded.txt", include_str!("../templates/refunded.txt")),
    ("partly_refunded.txt", include_str!("../templates/partly_refunded.txt")),
    ("refund_failed.txt", include_str!("../templates/refund_failed.txt")),
];

/// Writes notices from templates.
#[derive(Debug)]
pub struct Templates {
    environment: Environment<'static>,
}

impl Templates {
    /// Compiles all templates.
    ///
    /// # Errors
    /// If a template is malformed.
    pub fn new() -> Result<Self, minijinja::Error> {
        let mut environment = Environment::new();
        // An undefined name in a template is an error, not a gap in the mail.
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment
            .set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
        environment.add_filter("money", money);
        environment.add_filter("local", local);
        environment.add_filter("decline_reason", decline_reason);
        for (name, source) in TEMPLATES {
            // MiniJinja escapes nothing in templates whose name ends in .txt.
            environment.add_template(name, source)?;
        }
        Ok(Self { environment })
    }

    /// The notice about an event, or `None` for an event that customers get no notice about.
    ///
    /// # Errors
    /// If the event lacks data that the template needs.
    pub fn notice(&self, event: &OrderEvent) -> Result<Option<Notice>, minijinja::Error> {
        let order = &event.detail.data;
        let Some(name) = template(event.event_type, order) else {
            return Ok(None);
        };
        let letter = self.environment.get_template(name)?.render(Serde(order))?;
        let (subject, text) = letter.split_once('\n').unwrap_or((&letter, ""));
        Ok(Some(Notice {
            order: order.order_id,
            subject: subject.to_owned(),
            text: text.trim().to_owned(),
        }))
    }
}

/// When a notice about an event no longer helps and is dropped; `None` if it always helps.
///
/// Notices are late after an outage, or when an operator redrives dead letters. What happened to a
/// customer's money they want to know however late it is. What is waiting for them, or what they
/// have to order elsewhere, they want to know until the day of the pickup is over in the shop's
/// time zone.
#[must_use]
pub fn helps_until(event: &OrderEvent) -> Option<Timestamp> {
    let order = &event.detail.data;
    if is_about_money(event) {
        return None;
    }
    let time_zone = &order.time_zone;
    // A shop may be open past midnight; the pickup day is then the day before.
    let last_day = order.pickup_day.max(order.pickup_at.to_zoned(time_zone.clone()).date());
    let end = last_day.tomorrow().and_then(|day| day.to_zoned(time_zone.clone()));
    end.map(|end| end.timestamp()).ok()
}

/// Whether the notice about an event says that money was or will be given back, that it could not
/// be, or that it could not be taken.
fn is_about_money(event: &OrderEvent) -> bool {
    use OrderEventType as Event;
    let order = &event.detail.data;
    match event.event_type {
        Event::PaymentChanged => true,
        Event::Rejected => matches!(order.rejection, Some(Rejection::PaymentDeclined { .. })),
        Event::Cancelled | Event::Expired => order.payment != PaymentStatus::None,
        // It may have overtaken the notice about a refund, and then says what that would have said.
        Event::Ready => !order.refunds.is_empty(),
        Event::Confirmed
        | Event::Placed
        | Event::Reserved
        | Event::AuthenticationRequired
        | Event::Preparing
        | Event::Collected
        | Event::RefundRequested
        | Event::DisputeChanged
        | Event::Erased => false,
    }
}

/// The template of the notice about an event, if there is one.
fn template(event: OrderEventType, order: &OrderData) -> Option<&'static str> {
    use OrderEventType as Event;
    match event {
        Event::Confirmed => Some("confirmed.txt"),
        Event::Ready => Some("ready.txt"),
        Event::Rejected => Some("rejected.txt"),
        Event::Cancelled => Some("cancelled.txt"),
        Event::Expired => Some("expired.txt"),
        // Of an order that goes on, what the shop gives back is all that changes.
        Event::PaymentChanged if !order.status.ended_early() => Some("partly_refunded.txt"),
        Event::PaymentChanged => match order.payment {
            // The bank has given the money back, and we have not.
            PaymentStatus::Refunded
                if order.dispute.is_some_and(|dispute| dispute.state.blocks_refunds()) =>
            {
                None
            }
            PaymentStatus::Refunded => Some("refunded.txt"),
            PaymentStatus::RefundFailed => Some("refund_failed.txt"),
            // The notice about the order's end has already said that the customer does not pay: a
            // captured amount will be refunded, and a voided charge took nothing.
            PaymentStatus::None | PaymentStatus::Captured | PaymentStatus::Voided => None,
        },
        Event::Placed
        | Event::Reserved
        | Event::AuthenticationRequired
        | Event::Preparing
        | Event::Collected
        | Event::RefundRequested
        | Event::DisputeChanged
        | Event::Erased => None,
    }
}

fn money(amount: u64, currency: Serde<Currency>) -> String {
    Money { amount, currency: currency.0 }.to_string()
}

/// A time in the shop's time zone.
fn local(at: Serde<Timestamp>, time_zone: &str) -> Result<String, minijinja::Error> {
    let at = at
        .in_tz(time_zone)
        .map_err(|error| minijinja::Error::new(ErrorKind::InvalidOperation, error.to_string()))?;
    Ok(at.strftime("%A, %-d %B %Y at %H:%M").to_string())
}

/// The reason of a decline that the customer may know.
fn decline_reason(code: &str) -> &'static str {
    DeclineReason::from_provider_code(code).as_str()
}

#[cfg(test)]
pub(crate) mod tests;
