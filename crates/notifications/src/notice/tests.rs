//! Tests of the notices and their text.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::*;

pub(crate) const ORDER: &str = "0b7c55f2-9d4e-4c6b-8a1f-3e2d7c9014aa";

/// An order's event; `data` replaces what it names.
pub(crate) fn event(event_type: &str, data: Value) -> OrderEvent {
    let at = "2026-11-24T08:00:00Z";
    let mut event = json!({
        "detail-type": event_type,
        "detail": {
            "metadata": {
                "event_id": ORDER,
                "version": 1,
                "occurred_at": at,
                "correlation_id": ORDER
            },
            "data": {
                "order_id": ORDER,
                "customer_id": "camille",
                "revision": 3,
                "status": "confirmed",
                "payment": "captured",
                "location": "paris",
                "location_name": "Amélie Paris",
                "time_zone": "Europe/Paris",
                "pickup_at": at,
                "pickup_day": "2026-11-24",
                "deadline": at,
                "lines": [
                    {
                        "item": "croissant",
                        "name": "Butter croissant",
                        "quantity": 2,
                        "unit_price": 190
                    },
                    {
                        "item": "eclair",
                        "name": "Éclair \"café & crème\"",
                        "quantity": 1,
                        "unit_price": 450
                    }
                ],
                "total": 830,
                "currency": "EUR"
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
fn customers_get_notices_about_confirmation_readiness_failures_and_refunds() {
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
            json!({"status": "cancelled", "payment": "refunded"}),
            "We have given your money back",
        ),
        (
            "order.payment_changed",
            json!({"status": "cancelled", "payment": "refund_failed"}),
            "We could not give your money back yet",
        ),
        (
            "order.payment_changed",
            json!({"refunds": [refund(1, "failed"), refund(2, "succeeded")]}),
            "We have given money back to you",
        ),
        (
            "order.payment_changed",
            json!({"refunds": [refund(1, "failed")]}),
            "We could not give your money back yet",
        ),
    ] {
        assert_eq!(subject(event_type, data).as_deref(), Some(expected), "{event_type}");
    }
    for event_type in [
        "order.placed",
        "order.reserved",
        "order.preparing",
        "order.collected",
        "order.refund_requested",
    ] {
        assert_eq!(subject(event_type, json!({})), None, "{event_type}");
    }
    for payment in ["captured", "voided"] {
        assert_eq!(
            subject("order.payment_changed", json!({"status": "cancelled", "payment": payment})),
            None,
            "{payment}"
        );
    }
}

fn refund(id: u32, state: &str) -> Value {
    json!({
        "id": id, "amount": 190, "reason": "One croissant was burnt", "attempt": id,
        "requested_at": "2026-11-24T08:00:00Z", "state": state
    })
}

#[test]
fn a_notice_of_refunds_names_each_amount_and_reason_and_what_is_still_owed() {
    let states = ["succeeded", "pending", "failed", "requested", "covered"];
    let refunds: Vec<_> = (1..).zip(states).map(|(id, state)| refund(id, state)).collect();
    let expected = "This is about your order at Amélie Paris, Tuesday, 24 November 2026 at 09:00.\
                    \n\n\
                    We have refunded 1.90 EUR: One croissant was burnt\n\
                    We are refunding 1.90 EUR: One croissant was burnt\n\n\
                    Your bank may need up to ten days to show it.\n\n\
                    We owe you 1.90 EUR: One croissant was burnt\n\
                    We have tried 3 times to refund it.\n\
                    The refund to your payment method has failed. We are sorry, and are \
                    looking into\nit. If you do not want to wait, show this message at the \
                    shop.\n\n\
                    Order: 0b7c55f2-9d4e-4c6b-8a1f-3e2d7c9014aa\n\nAmelie";
    assert_eq!(text("order.payment_changed", json!({"refunds": refunds})), expected);
}

#[test]
fn a_cancellation_by_the_shop_says_why_and_what_is_given_back() {
    let text = text(
        "order.cancelled",
        json!({
            "status": "cancelled",
            "payment": "captured",
            "cancellation_reason": "The oven is broken",
            "refunds": [refund(1, "succeeded")],
        }),
    );
    let expected = "We are sorry: Amélie Paris had to cancel your order for\n\
                    Tuesday, 24 November 2026 at 09:00. The shop says: The oven is broken\n\n\
                    You have paid 8.30 EUR. We will refund what is left of it, and write\n\
                    to you again when that is done.\n\n\
                    Order: 0b7c55f2-9d4e-4c6b-8a1f-3e2d7c9014aa\n\nAmelie";
    assert_eq!(text, expected);
}

#[test]
fn a_ready_order_whose_notice_overtakes_that_of_a_refund_names_the_refund() {
    let refunds = json!([refund(1, "succeeded")]);
    let text = text("order.ready", json!({"status": "ready", "refunds": refunds}));
    assert!(text.contains("We have refunded 1.90 EUR: One croissant was burnt"), "{text}");
}

#[test]
fn a_confirmation_names_what_was_ordered_what_it_cost_and_when_it_can_be_picked_up() {
    let expected = "Thank you for your order. You have paid 8.30 EUR, and we will have this\n\
                    ready for you:\n\n\
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
fn a_rejection_names_each_shortage_and_what_is_left() {
    let shortages = json!([
        {"item": "croissant", "requested": 2, "left": 1},
        {"item": "eclair", "requested": 1, "left": 0}
    ]);
    let text = text(
        "order.rejected",
        json!({"rejection": {"code": "out_of_stock", "shortages": shortages}}),
    );
    assert!(text.contains(
        "Butter croissant: you ordered 2, 1 left\n\
         Éclair \"café & crème\": you ordered 1, none left\n"
    ));
}

#[test]
fn a_decline_is_explained_only_if_the_customer_can_do_something_about_it() {
    let declined = |reason| {
        text("order.rejected", json!({"rejection": {"code": "payment_declined", "reason": reason}}))
    };
    assert!(declined("insufficient_funds").contains("There was not enough money"));
    let codes = [
        "insufficient_funds",
        "expired_card",
        "incorrect_cvc",
        "card_not_supported",
        "processing_error",
        "authentication_required",
        "payment_intent_authentication_failure",
        "payment_method_unusable",
        "amount_too_small",
        "amount_too_large",
        "currency_not_accepted",
        "too_many_declines",
        "generic_decline",
    ];
    let explained: BTreeSet<_> = codes.into_iter().map(declined).collect();
    assert_eq!(explained.len(), DeclineReason::ALL.len(), "each reason has words of its own");
    // Another payment method would not help.
    assert!(declined("expired_card").contains("order again with another payment method."));
    assert!(declined("amount_too_small").contains("You are welcome to\norder more at once."));
    assert!(declined("currency_not_accepted").contains("We cannot take payments in EUR"));
    // The holder of a stolen card must not learn that the theft was reported.
    for hidden in ["stolen_card", "lost_card", "fraudulent", "merchant_blacklist", "pickup_card"] {
        assert_eq!(declined(hidden), declined("generic_decline"), "{hidden}");
    }
}

#[test]
fn a_cancellation_promises_a_refund_only_of_money_that_was_taken() {
    assert!(
        text("order.cancelled", json!({"payment": "captured"}))
            .contains("You have paid 8.30 EUR. We will refund it")
    );
    assert!(text("order.cancelled", json!({"payment": "none"})).contains("You do not pay for it."));
}

#[test]
fn a_refund_says_how_the_order_ended_because_that_notice_may_never_have_been_sent() {
    let refunded =
        |status| text("order.payment_changed", json!({"payment": "refunded", "status": status}));
    assert!(refunded("cancelled").contains("You had cancelled it."));
    for payment in ["refunded", "refund_failed"] {
        let by_shop = json!({
            "status": "cancelled", "payment": payment, "cancellation_reason": "The oven is broken"
        });
        let text = text("order.payment_changed", by_shop);
        assert!(text.contains("The shop had to cancel it: The oven is broken"), "{text}");
    }
    assert!(refunded("expired").contains("It could not be confirmed in time."));
    assert!(refunded("rejected").contains("We could not take it."));
}

#[test]
fn an_event_that_lacks_data_of_its_notice_is_an_error_and_not_a_gap() {
    let event = event("order.rejected", json!({"status": "rejected"}));
    assert!(Templates::new().unwrap().notice(&event).is_err());
}

#[test]
fn a_notice_helps_until_its_pickup_day_is_over_and_one_about_money_always() {
    // The pickup day, 24 November 2026, ends in Paris an hour before it ends in UTC.
    let day_is_over: Timestamp = "2026-11-24T23:00:00Z".parse().unwrap();
    let out_of_stock = json!({"code": "out_of_stock", "shortages": []});
    let declined = json!({"code": "payment_declined", "reason": "expired_card"});
    for (event_type, data, helps) in [
        ("order.confirmed", json!({}), Some(day_is_over)),
        ("order.ready", json!({}), Some(day_is_over)),
        ("order.rejected", json!({"rejection": out_of_stock}), Some(day_is_over)),
        ("order.rejected", json!({"rejection": declined}), None),
        ("order.cancelled", json!({"payment": "none"}), Some(day_is_over)),
        ("order.cancelled", json!({"payment": "captured"}), None),
        ("order.expired", json!({"payment": "none"}), Some(day_is_over)),
        ("order.expired", json!({"payment": "captured"}), None),
        ("order.payment_changed", json!({"payment": "refunded"}), None),
        ("order.payment_changed", json!({"payment": "refund_failed"}), None),
    ] {
        let event = event(event_type, data.clone());
        assert_eq!(helps_until(&event), helps, "{event_type} {data}");
    }
}

#[test]
fn a_pickup_past_midnight_is_told_of_until_the_end_of_the_night() {
    let pickup = json!({"pickup_day": "2026-11-24", "pickup_at": "2026-11-25T00:30:00+01:00"});
    let expected = "2026-11-25T23:00:00Z".parse().unwrap();
    assert_eq!(helps_until(&event("order.ready", pickup)), Some(expected));
}
