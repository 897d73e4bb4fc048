//! From what a customer asks for to an order: prices from the menu, a pickup within opening hours,
//! equal items merged.

use std::fmt;

use garde::Validate;
use jiff::{SignedDuration, Timestamp, civil};
use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, MapAccess, Unexpected, Visitor, value::MapAccessDeserializer},
};
use sha2::{Digest, Sha256};

use crate::{
    id::{CustomerId, IdempotencyKey, InvalidId, ItemId, NAME_PATTERN, OrderId},
    menu::{MAX_DAYS_AHEAD, Menu, latest_pickup},
    money::{Currency, MAX_TOTAL, Money},
    order::{HistoryEntry, Line, Order, OrderEventType, PaymentMethod, PaymentStatus, Status},
};

/// The most lines of one order.
pub const MAX_LINES: usize = 50;
/// The most pieces of one item in one order.
pub const MAX_QUANTITY: u32 = 100;
/// What a token for a means of payment looks like, for JSON Schemas.
const TOKEN_PATTERN: &str = "^[A-Za-z0-9_]{1,255}$";
/// The longest note, in characters.
pub const MAX_NOTE: usize = 500;

/// What a customer sends to order. `validate` checks what needs no menu; [`place`] does the rest.
#[derive(Clone, Debug, Serialize, Deserialize, Validate, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(description = "What a customer sends to order.")]
pub struct OrderRequest {
    /// The shop, as `GET /locations` names it.
    #[garde(custom(name))]
    #[schemars(regex(pattern = NAME_PATTERN))]
    pub location: String,
    /// What to order.
    #[serde(deserialize_with = "objects")]
    #[garde(length(min = 1, max = MAX_LINES), dive)]
    pub lines: Vec<LineRequest>,
    /// The provider's token for the means of payment: 1 to 255 letters, digits and underscores.
    #[garde(custom(token))]
    #[schemars(with = "String", regex(pattern = TOKEN_PATTERN))]
    pub payment_method: PaymentMethod,
    /// When to pick it up, RFC 3339 with an offset; as soon as possible when absent.
    #[serde(default, deserialize_with = "moment", skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    pub pickup_at: Option<Timestamp>,
    /// The total that the customer has seen, in minor units; the order is refused when it no longer
    /// holds.
    #[serde(default, deserialize_with = "total", skip_serializing_if = "Option::is_none")]
    #[garde(range(max = MAX_TOTAL))]
    pub expected_total: Option<u64>,
    /// Words to the shop, at most 500 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(length(chars, max = MAX_NOTE)))]
    #[schemars(length(max = MAX_NOTE))]
    pub note: Option<String>,
}

/// One line of an [`OrderRequest`].
#[derive(Clone, Debug, Serialize, Deserialize, Validate, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(description = "What to order of one item.")]
pub struct LineRequest {
    /// The item, as the menu names it.
    #[garde(custom(name))]
    #[schemars(regex(pattern = NAME_PATTERN))]
    pub item: String,
    /// Pieces, 1 to 100.
    // Wider than it needs to be, so that -1 is told the limit and not how integers are stored.
    #[serde(deserialize_with = "pieces")]
    #[garde(range(min = 1, max = i64::from(MAX_QUANTITY)))]
    pub quantity: i64,
}

/// Lines as objects alone: serde would also take an array for a struct, by the order of its fields.
fn objects<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<LineRequest>, D::Error> {
    struct Line(LineRequest);

    struct LineVisitor;

    impl<'de> Visitor<'de> for LineVisitor {
        type Value = Line;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object with `item` and `quantity`")
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Line, A::Error> {
            LineRequest::deserialize(MapAccessDeserializer::new(map)).map(Line)
        }
    }

    impl<'de> Deserialize<'de> for Line {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            deserializer.deserialize_map(LineVisitor)
        }
    }

    let lines: Vec<Line> = Vec::deserialize(deserializer)?;
    Ok(lines.into_iter().map(|Line(line)| line).collect())
}

/// A whole number, `2.0` included: JSON knows numbers only. Anything else is told the limits, and
/// not how numbers are stored here; validation tells those that do not keep to them.
struct WholeNumber {
    from: i64,
    to: i64,
}

impl Visitor<'_> for WholeNumber {
    type Value = i64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a whole number from {} to {}", self.from, self.to)
    }

    fn visit_i64<E>(self, number: i64) -> Result<i64, E> {
        Ok(number)
    }

    fn visit_u64<E>(self, number: u64) -> Result<i64, E> {
        Ok(i64::try_from(number).unwrap_or(i64::MAX))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<i64, E> {
        let whole = number as i64;
        if whole as f64 == number {
            Ok(whole)
        } else {
            Err(E::invalid_type(Unexpected::Float(number), &self))
        }
    }
}

fn pieces<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    deserializer.deserialize_i64(WholeNumber { from: 1, to: MAX_QUANTITY.into() })
}

fn total<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    struct Total(u64);

    impl<'de> Deserialize<'de> for Total {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let limits = || WholeNumber { from: 0, to: MAX_TOTAL.cast_signed() };
            let total = deserializer.deserialize_i64(limits())?;
            total
                .try_into()
                .map(Self)
                .map_err(|_| de::Error::invalid_value(Unexpected::Signed(total), &limits()))
        }
    }

    let total: Option<Total> = Option::deserialize(deserializer)?;
    Ok(total.map(|Total(total)| total))
}

fn moment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let text: Option<String> = Option::deserialize(deserializer)?;
    let invalid = |_| {
        de::Error::custom(
            "must be a time with an offset, such as 2026-11-24T10:00:00+01:00 (RFC 3339)",
        )
    };
    text.map(|text| text.parse().map_err(invalid)).transpose()
}

fn name(text: &str, (): &()) -> garde::Result {
    text.parse::<ItemId>().map(drop).map_err(garde::Error::new)
}

fn token(method: &PaymentMethod, (): &()) -> garde::Result {
    let text = method.expose();
    if (1..=255).contains(&text.len())
        && text.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_')
    {
        Ok(())
    } else {
        Err(garde::Error::new("must be 1 to 255 letters, digits and underscores"))
    }
}

impl OrderRequest {
    /// Tells this request from another one: a SHA-256 of what it asks for, however it was spelled.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        // Its fields are texts, numbers and times: writing them into a hash cannot fail.
        let json = serde_json::to_vec(self).unwrap_or_default();
        hash.update(&json);
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Why an order is not accepted. Each message names the limit; [`Refusal::field`] names the field.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Refusal {
    /// A name that no shop or item can have.
    #[error(transparent)]
    Id(#[from] InvalidId),
    /// The shop does not have it.
    #[error("`{item}` is not on the menu of this shop; GET /menu/{{location}} shows what is")]
    UnknownItem {
        /// The line, from 0.
        line: usize,
        /// What was asked for.
        item: ItemId,
    },
    /// The shop has it, but not on that day.
    #[error("`{item}` is not sold on {day}; GET /menu/{{location}} shows on which days it is")]
    NotSold {
        /// The line, from 0.
        line: usize,
        /// What was asked for.
        item: ItemId,
        /// The day of the pickup.
        day: civil::Date,
    },
    /// The lines of one item add up to too much.
    #[error("all lines of `{item}` together must be at most {MAX_QUANTITY}")]
    TooMany {
        /// The line that goes over, from 0.
        line: usize,
        /// What was asked for.
        item: ItemId,
    },
    /// Less than the payment provider takes.
    #[error("the order must come to at least {}", Money { amount: currency.smallest_charge(), currency: *currency })]
    TooCheap {
        /// The currency of the menu.
        currency: Currency,
    },
    /// More than the payment provider takes.
    #[error("the order may come to at most {} in all", Money { amount: MAX_TOTAL, currency: *currency })]
    TooExpensive {
        /// The currency of the menu.
        currency: Currency,
    },
    /// A pickup before now.
    #[error("must not be in the past; it is {now} now")]
    PickupInPast {
        /// The time of the request.
        now: Timestamp,
    },
    /// A pickup beyond the horizon.
    #[error("must be at most {MAX_DAYS_AHEAD} days ahead, that is no later than {latest}")]
    PickupTooFar {
        /// The last moment that would do.
        latest: Timestamp,
    },
    /// A pickup outside opening hours.
    #[error("the shop is closed then{}", next.map_or(String::new(), |next| format!("; it next opens at {next}")))]
    Closed {
        /// The next moment at which it is open, if there is one in time.
        next: Option<Timestamp>,
    },
    /// Prices have changed since the customer has seen them.
    #[error("the total is now {}; repeat the order with it to accept", total.amount)]
    PriceChanged {
        /// The total that holds.
        total: Money,
    },
}

impl Refusal {
    /// The field of the request that it is about, as a path.
    #[must_use]
    pub fn field(&self) -> String {
        match self {
            Self::UnknownItem { line, .. } | Self::NotSold { line, .. } => {
                format!("lines[{line}].item")
            }
            Self::TooMany { line, .. } => format!("lines[{line}].quantity"),
            Self::Id(_) | Self::TooCheap { .. } | Self::TooExpensive { .. } => "lines".into(),
            Self::PickupInPast { .. } | Self::PickupTooFar { .. } | Self::Closed { .. } => {
                "pickup_at".into()
            }
            Self::PriceChanged { .. } => "expected_total".into(),
        }
    }
}

/// Makes the order that a validated `request` asks for, at `now`; it expires after
/// `confirm_within`.
///
/// # Errors
/// Why this menu, at this time, does not allow it.
pub fn place(
    request: &OrderRequest,
    customer: CustomerId,
    key: &IdempotencyKey,
    menu: &Menu,
    now: Timestamp,
    confirm_within: SignedDuration,
) -> Result<Order, Refusal> {
    // Rows keep milliseconds.
    let now = Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now);
    let pickup_at = pickup(request.pickup_at, menu, now)?;
    let pickup_day = menu.day(pickup_at);
    let lines = price(&request.lines, menu, pickup_day)?;
    let total = lines.iter().map(|line| line.unit_price * u64::from(line.quantity)).sum();
    if total < menu.currency.smallest_charge() {
        return Err(Refusal::TooCheap { currency: menu.currency });
    }
    if total > MAX_TOTAL {
        return Err(Refusal::TooExpensive { currency: menu.currency });
    }
    if request.expected_total.is_some_and(|expected| expected != total) {
        return Err(Refusal::PriceChanged {
            total: Money { amount: total, currency: menu.currency },
        });
    }
    Ok(Order {
        order_id: OrderId::derive(&customer, key),
        customer_id: customer,
        location: menu.location.clone(),
        location_name: menu.name.clone(),
        time_zone: menu.time_zone.clone(),
        status: Status::Placed,
        revision: 1,
        payment: PaymentStatus::None,
        lines,
        total,
        currency: menu.currency,
        payment_method: Some(request.payment_method.clone()),
        note: request.note.clone(),
        placed_at: now,
        pickup_at,
        pickup_day,
        deadline: now + confirm_within,
        rejection: None,
        fingerprint: request.fingerprint(),
        history: vec![HistoryEntry {
            revision: 1,
            event: OrderEventType::Placed,
            status: Status::Placed,
            at: now,
            cause: None,
        }],
    })
}

fn pickup(asked: Option<Timestamp>, menu: &Menu, now: Timestamp) -> Result<Timestamp, Refusal> {
    let latest = latest_pickup(now);
    match asked {
        None => menu.next_open(now, latest).ok_or(Refusal::Closed { next: None }),
        Some(at) if at < now => Err(Refusal::PickupInPast { now }),
        Some(at) if at > latest => Err(Refusal::PickupTooFar { latest }),
        Some(at) if !menu.is_open(at) => Err(Refusal::Closed { next: menu.next_open(at, latest) }),
        Some(at) => Ok(at),
    }
}

/// Prices the lines from the menu, and merges those of the same item.
fn price(requests: &[LineRequest], menu: &Menu, day: civil::Date) -> Result<Vec<Line>, Refusal> {
    let mut lines: Vec<Line> = Vec::with_capacity(requests.len());
    for (index, request) in requests.iter().enumerate() {
        let sku: ItemId = request.item.parse()?;
        let Some(item) = menu.item(&sku) else {
            return Err(Refusal::UnknownItem { line: index, item: sku });
        };
        if !item.is_sold_on(day) {
            return Err(Refusal::NotSold { line: index, item: sku, day });
        }
        let too_many = || Refusal::TooMany { line: index, item: item.sku.clone() };
        let more = u32::try_from(request.quantity)
            .ok()
            .filter(|more| *more <= MAX_QUANTITY)
            .ok_or_else(too_many)?;
        match lines.iter_mut().find(|line| line.item == sku) {
            Some(line) if line.quantity + more > MAX_QUANTITY => return Err(too_many()),
            Some(line) => line.quantity += more,
            None => lines.push(Line {
                item: sku,
                name: item.name.clone(),
                quantity: more,
                unit_price: item.price,
            }),
        }
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::menu::tests::{at, paris};

    fn request(change: impl FnOnce(&mut Value)) -> OrderRequest {
        let mut body = json!({
            "location": "paris",
            "lines": [{"item": "croissant", "quantity": 2}, {"item": "eclair", "quantity": 1}],
            "payment_method": "pm_card_visa"
        });
        change(&mut body);
        serde_json::from_value(body).unwrap()
    }

    const TUESDAY: &str = "2026-11-24T08:00:00Z";

    fn placed(request: &OrderRequest, now: &str) -> Result<Order, Refusal> {
        let key = "key".parse().unwrap();
        place(
            request,
            CustomerId::new("camille"),
            &key,
            &paris(),
            at(now),
            SignedDuration::from_mins(15),
        )
    }

    fn faults(change: impl FnOnce(&mut Value)) -> String {
        request(change).validate().map_or_else(|report| report.to_string(), |()| String::new())
    }

    #[test]
    fn prices_come_from_the_menu() {
        let order = placed(&request(|_| ()), TUESDAY).unwrap();
        assert_eq!((order.total, order.currency), (2 * 190 + 450, Currency::Eur));
        assert_eq!(order.deadline, at("2026-11-24T08:15:00Z"));
    }

    #[test]
    fn lines_of_the_same_item_are_merged() {
        let twice = request(|body| {
            body["lines"] =
                json!([{"item": "croissant", "quantity": 2}, {"item": "croissant", "quantity": 3}])
        });
        let order = placed(&twice, TUESDAY).unwrap();
        assert_eq!(order.lines.len(), 1);
        assert_eq!(order.lines[0].quantity, 5);
    }

    #[test]
    fn merging_does_not_get_around_the_limit_of_an_item() {
        let over = request(|body| {
            body["lines"] = json!([{"item": "croissant", "quantity": 100}, {"item": "croissant", "quantity": 1}])
        });
        let refusal = placed(&over, TUESDAY).unwrap_err();
        assert_eq!(refusal.field(), "lines[1].quantity");
    }

    #[test]
    fn a_total_that_no_longer_holds_is_refused_with_the_one_that_does() {
        let stale = request(|body| body["expected_total"] = json!(1));
        assert_eq!(
            placed(&stale, TUESDAY),
            Err(Refusal::PriceChanged { total: Money { amount: 830, currency: Currency::Eur } })
        );
        let right = request(|body| body["expected_total"] = json!(830));
        assert!(placed(&right, TUESDAY).is_ok());
    }

    #[test]
    fn without_a_pickup_time_an_open_shop_serves_now_and_a_closed_one_at_its_next_opening() {
        assert_eq!(placed(&request(|_| ()), TUESDAY).unwrap().pickup_at, at(TUESDAY));
        let night = placed(&request(|_| ()), "2026-11-23T23:30:00Z").unwrap();
        assert_eq!(night.pickup_at, at("2026-11-24T06:00:00Z"));
        assert_eq!(night.pickup_day, civil::date(2026, 11, 24));
    }

    #[test]
    fn a_pickup_lies_in_the_future_within_hours_and_at_most_14_days_ahead() {
        let pickup = |text: &str| placed(&request(|body| body["pickup_at"] = json!(text)), TUESDAY);
        assert!(pickup("2026-11-25T10:00:00+01:00").is_ok());
        assert!(matches!(pickup("2026-11-24T07:59:59Z"), Err(Refusal::PickupInPast { .. })));
        assert!(matches!(pickup("2026-12-08T08:00:00.001Z"), Err(Refusal::PickupTooFar { .. })));
        assert!(pickup("2026-12-08T08:00:00Z").is_ok());
        assert_eq!(
            pickup("2026-11-24T20:00:00Z"),
            Err(Refusal::Closed { next: Some(at("2026-11-25T06:00:00Z")) })
        );
    }

    #[test]
    fn a_total_that_no_card_can_be_charged_is_refused() {
        let order = request(|body| body["lines"] = json!([{"item": "croissant", "quantity": 100}]));
        let at_price = |price| {
            let mut menu = paris();
            menu.items[0].price = price;
            place(
                &order,
                CustomerId::new("camille"),
                &"key".parse().unwrap(),
                &menu,
                at(TUESDAY),
                SignedDuration::from_mins(15),
            )
        };
        assert_eq!(at_price(MAX_TOTAL / 100).map(|order| order.total), Ok(99_999_900));
        assert_eq!(
            at_price(MAX_TOTAL / 100 + 1),
            Err(Refusal::TooExpensive { currency: Currency::Eur })
        );
        let one = request(|body| body["lines"] = json!([{"item": "croissant", "quantity": 1}]));
        let mut menu = paris();
        menu.items[0].price = 49;
        let refusal = place(
            &one,
            CustomerId::new("camille"),
            &"key".parse().unwrap(),
            &menu,
            at(TUESDAY),
            SignedDuration::from_mins(15),
        );
        assert_eq!(refusal, Err(Refusal::TooCheap { currency: Currency::Eur }));
    }

    #[test]
    fn an_item_is_only_sold_on_its_days() {
        let brioche = |pickup: &str| {
            placed(
                &request(|body| {
                    body["lines"][0]["item"] = json!("brioche");
                    body["pickup_at"] = json!(pickup);
                }),
                TUESDAY,
            )
        };
        assert!(matches!(brioche("2026-11-25T10:00:00Z"), Err(Refusal::NotSold { line: 0, .. })));
        assert!(brioche("2026-11-28T10:00:00Z").is_ok());
    }

    #[test]
    fn an_item_that_the_shop_does_not_have_is_refused_by_its_line() {
        let refusal = placed(&request(|body| body["lines"][1]["item"] = json!("bagel")), TUESDAY)
            .unwrap_err();
        assert_eq!(refusal.field(), "lines[1].item");
    }

    #[test]
    fn bad_fields_are_told_with_their_limit() {
        assert!(faults(|body| body["lines"] = json!([])).contains("lines"));
        assert!(
            faults(
                |body| body["lines"] = json!(vec![json!({"item": "croissant", "quantity": 1}); 51])
            )
            .contains("50")
        );
        assert!(
            faults(|body| body["lines"][0]["quantity"] = json!(0))
                .contains("lines[0].quantity: lower than 1")
        );
        assert!(
            faults(|body| body["lines"][0]["quantity"] = json!(101))
                .contains("lines[0].quantity: greater than 100")
        );
        assert!(faults(|body| body["lines"][0]["quantity"] = json!(-1)).contains("lower than 1"));
        assert!(faults(|body| body["note"] = json!("é".repeat(501))).contains("500"));
        assert!(
            faults(|body| body["location"] = json!("Paris!")).contains("location: must be 1 to 64")
        );
        assert!(
            faults(|body| body["payment_method"] = json!("pm card")).contains("payment_method")
        );
        assert_eq!(faults(|body| body["note"] = json!("é".repeat(500))), "");
    }

    #[test]
    fn what_is_of_another_type_is_told_what_it_should_be() {
        let fault = |pointer: &str, value: Value| {
            let mut body = json!({"location": "paris", "lines": [{"item": "croissant", "quantity": 2}], "payment_method": "pm", "pickup_at": null, "expected_total": null});
            *body.pointer_mut(pointer).unwrap() = value;
            serde_json::from_value::<OrderRequest>(body).unwrap_err().to_string()
        };
        for quantity in [json!(1.5), json!("2"), json!(null)] {
            assert!(
                fault("/lines/0/quantity", quantity)
                    .contains("expected a whole number from 1 to 100")
            );
        }
        for total in [json!(-1), json!(3.8), json!("380")] {
            assert!(
                fault("/expected_total", total)
                    .contains("expected a whole number from 0 to 99999999")
            );
        }
        // Serde alone would take the fields in their order.
        assert!(
            fault("/lines/0", json!(["croissant", 2]))
                .contains("expected an object with `item` and `quantity`")
        );
        assert!(fault("/pickup_at", json!("tomorrow")).contains("must be a time with an offset"));
    }

    #[test]
    fn a_whole_number_may_be_written_with_decimals() {
        let written = request(|body| {
            body["lines"][0]["quantity"] = json!(2.0);
            body["expected_total"] = json!(830.0);
        });
        assert_eq!((written.lines[0].quantity, written.expected_total), (2, Some(830)));
    }

    #[test]
    fn the_fingerprint_is_of_what_is_asked_for_and_not_of_how_it_is_spelled() {
        let spelled = request(|body| body["pickup_at"] = json!("2026-11-25T10:00:00+01:00"));
        let otherwise = request(|body| body["pickup_at"] = json!("2026-11-25T09:00:00Z"));
        assert_eq!(spelled.fingerprint(), otherwise.fingerprint());
        assert_ne!(spelled.fingerprint(), request(|_| ()).fingerprint());
    }

    proptest! {
        #[test]
        fn an_accepted_order_costs_what_its_lines_cost_and_holds_every_piece(
            lines in prop::collection::vec((prop::sample::select(vec!["croissant", "eclair"]), -3_i64..60), 1..6),
        ) {
            let lines: Vec<_> = lines.into_iter().map(|(item, quantity)| json!({"item": item, "quantity": quantity})).collect();
            let request = request(|body| body["lines"] = json!(lines));
            prop_assume!(request.validate().is_ok());
            if let Ok(order) = placed(&request, TUESDAY) {
                let pieces: u32 = order.lines.iter().map(|line| line.quantity).sum();
                let asked: i64 = request.lines.iter().map(|line| line.quantity).sum();
                prop_assert_eq!(i64::from(pieces), asked);
                let cost: u64 = request.lines.iter().map(|line| u64::try_from(line.quantity).unwrap() * if line.item == "eclair" { 450 } else { 190 }).sum();
                prop_assert_eq!(order.total, cost);
            }
        }

        #[test]
        fn no_body_makes_parsing_panic(text in any::<String>(), value in any::<f64>()) {
            let _ = serde_json::from_str::<OrderRequest>(&text);
            let body = json!({"location": text, "lines": [{"item": text, "quantity": value}], "payment_method": text, "pickup_at": text});
            if let Ok(request) = serde_json::from_value::<OrderRequest>(body) {
                let _ = request.validate();
                let _ = placed(&request, TUESDAY);
            }
        }

        #[test]
        fn every_pickup_that_is_accepted_is_within_opening_hours(minutes in 0_i64..30_000) {
            let now = at(TUESDAY);
            let asked = now + SignedDuration::from_mins(minutes);
            match pickup(Some(asked), &paris(), now) {
                Ok(at) => prop_assert!(paris().is_open(at) && at <= latest_pickup(now)),
                Err(refusal) => prop_assert_eq!(refusal.field(), "pickup_at"),
            }
        }
    }
}
