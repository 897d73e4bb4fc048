//! What customers are told, and in which words.

use jiff::Timestamp;
use minijinja::{Environment, ErrorKind, UndefinedBehavior, syntax::SyntaxConfig, value::Serde};
use shop::{
    event::OrderEvent,
    id::OrderId,
    money::{Currency, Money},
    order::{OrderEventType, PaymentStatus},
};

/// A message to a customer, in plain text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The order that it is about.
    pub order: OrderId,
    /// One line.
    pub subject: String,
    /// The rest.
    pub text: String,
}

/// The words, by the name of the file that holds them. The first line of each is the subject. They
/// see the event's [data](shop::event::OrderData), and must make sense to somebody who was told
/// nothing before: a notice that was overtaken is never sent.
const TEMPLATES: [(&str, &str); 7] = [
    ("confirmed.txt", include_str!("../templates/confirmed.txt")),
    ("ready.txt", include_str!("../templates/ready.txt")),
    ("rejected.txt", include_str!("../templates/rejected.txt")),
    ("cancelled.txt", include_str!("../templates/cancelled.txt")),
    ("expired.txt", include_str!("../templates/expired.txt")),
    ("refunded.txt", include_str!("../templates/refunded.txt")),
    ("refund_failed.txt", include_str!("../templates/refund_failed.txt")),
];

/// Puts events into words.
#[derive(Debug)]
pub struct Templates {
    environment: Environment<'static>,
}

impl Templates {
    /// Compiles all templates.
    ///
    /// # Errors
    /// One of them is malformed.
    pub fn new() -> Result<Self, minijinja::Error> {
        let mut environment = Environment::new();
        // A mistake in a template is an error, not a gap in a letter.
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment
            .set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
        environment.add_filter("money", money);
        environment.add_filter("local", local);
        for (name, source) in TEMPLATES {
            // Of a name that ends in .txt, MiniJinja escapes nothing.
            environment.add_template(name, source)?;
        }
        Ok(Self { environment })
    }

    /// What the customer is told of an event; none when it does not concern them.
    ///
    /// # Errors
    /// The event lacks something that such an event has.
    pub fn notice(&self, event: &OrderEvent) -> Result<Option<Notice>, minijinja::Error> {
        let order = &event.detail.data;
        let Some(name) = template(event.event_type, order.payment) else {
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

const fn template(event: OrderEventType, payment: PaymentStatus) -> Option<&'static str> {
    use OrderEventType as Event;
    match event {
        Event::Confirmed => Some("confirmed.txt"),
        Event::Ready => Some("ready.txt"),
        Event::Rejected => Some("rejected.txt"),
        Event::Cancelled => Some("cancelled.txt"),
        Event::Expired => Some("expired.txt"),
        Event::PaymentChanged => match payment {
            PaymentStatus::Refunded => Some("refunded.txt"),
            PaymentStatus::RefundFailed => Some("refund_failed.txt"),
            // The notice of the end has said already that nothing is kept: whatever was taken is on
            // its way back, and nothing was taken by what was voided.
            PaymentStatus::None | PaymentStatus::Captured | PaymentStatus::Voided => None,
        },
        Event::Placed | Event::Reserved | Event::Preparing | Event::Collected => None,
    }
}

fn money(amount: u64, currency: Serde<Currency>) -> String {
    Money { amount, currency: currency.0 }.to_string()
}

/// A moment as the clock at the shop shows it.
fn local(at: Serde<Timestamp>, time_zone: &str) -> Result<String, minijinja::Error> {
    let at = at
        .in_tz(time_zone)
        .map_err(|error| minijinja::Error::new(ErrorKind::InvalidOperation, error.to_string()))?;
    Ok(at.strftime("%A, %-d %B %Y at %H:%M").to_string())
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::{Value, json};

    use super::*;

    pub(crate) const ORDER: &str = "0b7c55f2-9d4e-4c6b-8a1f-3e2d7c9014aa";

    /// An order's event; `data` replaces what it names.
    pub(crate) fn event(event_type: &str, data: Value) -> OrderEvent {
        let at = "2026-11-24T08:00:00Z";
        let mut event = json!({
            "detail-type": event_type,
            "detail": {
                "metadata": {"event_id": ORDER, "version": 1, "occurred_at": at, "correlation_id": ORDER},
                "data": {
                    "order_id": ORDER, "customer_id": "camille", "revision": 3, "status": "confirmed", "payment": "captured",
                    "location": "paris", "location_name": "Amélie Paris", "time_zone": "Europe/Paris", "pickup_at": at, "pickup_day": "2026-11-24", "deadline": at,
                    "lines": [
                        {"item": "croissant", "name": "Butter croissant", "quantity": 2, "unit_price": 190},
                        {"item": "eclair", "name": "Éclair \"café & crème\"", "quantity": 1, "unit_price": 450}
                    ],
                    "total": 830, "currency": "EUR"
                }
            }
        });
        for (name, value) in data.as_object().unwrap() {
            event["detail"]["data"][name] = value.clone();
        }
        serde_json::from_value(event).unwrap()
    }

    fn notice(event_type: &str, data: Value) -> Option<Notice> {
        Templates::new().unwrap().notice(&event(event_type, data)).unwrap()
    }

    fn text(event_type: &str, data: Value) -> String {
        notice(event_type, data).unwrap().text
    }

    #[test]
    fn a_customer_is_told_of_what_they_wait_for_and_of_what_goes_wrong() {
        let subject = |event_type, data| notice(event_type, data).map(|notice| notice.subject);
        let rejection = json!({"code": "payment_declined", "reason": "generic_decline"});
        for (event_type, data, expected) in [
            ("order.confirmed", json!({}), "Your order is confirmed"),
            ("order.ready", json!({}), "Your order is ready"),
            ("order.rejected", json!({"rejection": rejection}), "We could not take your order"),
            ("order.cancelled", json!({}), "Your order is cancelled"),
            ("order.expired", json!({}), "We could not confirm your order in time"),
            (
                "order.payment_changed",
                json!({"payment": "refunded"}),
                "We have given your money back",
            ),
            (
                "order.payment_changed",
                json!({"payment": "refund_failed"}),
                "We could not give your money back yet",
            ),
        ] {
            assert_eq!(subject(event_type, data).as_deref(), Some(expected), "{event_type}");
        }
        for event_type in ["order.placed", "order.reserved", "order.preparing", "order.collected"] {
            assert_eq!(subject(event_type, json!({})), None, "{event_type}");
        }
        for payment in ["captured", "voided"] {
            assert_eq!(
                subject("order.payment_changed", json!({"payment": payment})),
                None,
                "{payment}"
            );
        }
    }

    #[test]
    fn a_confirmation_names_what_was_ordered_what_it_cost_and_when_it_can_be_picked_up() {
        let expected = "Thank you for your order. You have paid 8.30 EUR, and we will have this\nready for you:\n\n\
                        2 x Butter croissant, 3.80 EUR\n1 x Éclair \"café & crème\", 4.50 EUR\n\n\
                        Pick-up: Tuesday, 24 November 2026 at 09:00, Amélie Paris\n\
                        Order: 0b7c55f2-9d4e-4c6b-8a1f-3e2d7c9014aa\n\nAmelie";
        assert_eq!(text("order.confirmed", json!({})), expected);
    }

    #[test]
    fn money_has_the_digits_of_its_currency() {
        assert!(
            text("order.confirmed", json!({"total": 830, "currency": "JPY"}))
                .contains("You have paid 830 JPY")
        );
    }

    #[test]
    fn a_rejection_names_what_fell_short_and_what_is_left_of_it() {
        let shortages = json!([{"item": "croissant", "requested": 2, "left": 1}, {"item": "eclair", "requested": 1, "left": 0}]);
        let text = text(
            "order.rejected",
            json!({"rejection": {"code": "out_of_stock", "shortages": shortages}}),
        );
        assert!(text.contains("Butter croissant: you ordered 2, 1 left\nÉclair \"café & crème\": you ordered 1, none left\n"));
    }

    #[test]
    fn a_decline_is_explained_where_the_customer_can_do_something_and_to_nobody_else() {
        let declined = |reason| {
            text(
                "order.rejected",
                json!({"rejection": {"code": "payment_declined", "reason": reason}}),
            )
        };
        assert!(declined("insufficient_funds").contains("There was not enough money"));
        // Whoever holds a card that was reported must not learn so.
        assert_eq!(declined("stolen_card"), declined("generic_decline"));
    }

    #[test]
    fn a_cancellation_promises_the_money_back_only_if_it_was_taken() {
        assert!(
            text("order.cancelled", json!({"payment": "captured"}))
                .contains("You have paid 8.30 EUR. We are giving it back")
        );
        assert!(
            text("order.cancelled", json!({"payment": "none"}))
                .contains("You need not pay for it.")
        );
    }

    #[test]
    fn a_refund_tells_how_the_order_ended_since_that_notice_may_have_been_overtaken() {
        let refunded = |status| {
            text("order.payment_changed", json!({"payment": "refunded", "status": status}))
        };
        assert!(refunded("cancelled").contains("You had cancelled it."));
        assert!(refunded("expired").contains("It could not be confirmed in time."));
        assert!(refunded("rejected").contains("We could not take it."));
    }

    #[test]
    fn an_event_that_lacks_what_its_notice_needs_is_an_error_and_not_a_gap() {
        let event = event("order.rejected", json!({"status": "rejected"}));
        assert!(Templates::new().unwrap().notice(&event).is_err());
    }
}
