//! The body of a request that places an order.

use std::fmt::{self, Display};

use jiff::Timestamp;
use platform::http::FieldError;
use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Unexpected, Visitor, value::MapAccessDeserializer},
};
use shop::{
    id::NAME_PATTERN,
    money::MAX_TOTAL,
    order::{Note, PaymentMethod},
    placement::{MAX_LINES, OrderRequest, Pieces, RequestedLine},
    text,
};

/// The body as JSON. Its values have the right JSON types; [`OrderBody::parse`] checks the rest.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "OrderRequest", description = "The order that a customer wants to place.")]
pub(crate) struct OrderBody {
    /// The id of the shop: `location` in the answer of `GET /locations`.
    #[schemars(regex(pattern = NAME_PATTERN))]
    location: String,
    /// The items to order. Lines of the same item are added up.
    #[serde(deserialize_with = "objects")]
    #[schemars(length(min = 1, max = MAX_LINES))]
    lines: Vec<LineBody>,
    /// The payment provider's token for the payment method: 1 to 255 letters, digits and
    /// underscores.
    #[schemars(length(max = PaymentMethod::MAX_LENGTH), regex(pattern = PaymentMethod::PATTERN))]
    payment_method: String,
    /// When to pick the order up, in RFC 3339 with an offset: after the shop's lead time, within
    /// its opening hours, and at most 14 days ahead. If absent, as soon as possible today.
    // `skip_serializing_if` keeps `"default": null` out of the schema.
    #[serde(default, deserialize_with = "time", skip_serializing_if = "Option::is_none")]
    pickup_at: Option<Timestamp>,
    /// The total that the customer has seen, in minor units. If the total has changed, the order is
    /// refused.
    #[serde(default, deserialize_with = "total", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<u64>", range(max = MAX_TOTAL))]
    expected_total: Option<i64>,
    /// A message to the shop, of at most 500 characters on one line, without control characters
    /// and invisible characters.
    #[schemars(length(max = Note::MAX_LENGTH), regex(pattern = text::pattern()))]
    note: Option<String>,
}

/// A line of an [`OrderBody`].
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "LineRequest", description = "An item to order, and how many pieces of it.")]
struct LineBody {
    /// The item's id: its `sku` on the menu.
    #[schemars(regex(pattern = NAME_PATTERN))]
    item: String,
    /// The number of pieces.
    // Wider than the limits, so that a number outside them is reported with the limits.
    #[serde(deserialize_with = "pieces")]
    #[schemars(range(min = 1, max = i64::from(Pieces::MAX)))]
    quantity: i64,
}

impl OrderBody {
    /// Parses all values, and reports all that are invalid.
    pub(crate) fn parse(self) -> Result<OrderRequest, Vec<FieldError>> {
        let mut errors = Errors(Vec::new());
        let location = errors.check("location", self.location.parse());
        let lines = errors.check_lines(self.lines);
        let payment_method = errors.check("payment_method", self.payment_method.parse());
        let expected_total =
            errors.check_optional("expected_total", self.expected_total.map(parse_total));
        let note = errors.check_optional("note", self.note.map(Note::try_from));

        let valid = (location, lines, payment_method, expected_total, note);
        let (Some(location), Some(lines), Some(payment_method), Some(expected_total), Some(note)) =
            valid
        else {
            return Err(errors.0);
        };
        let pickup_at = self.pickup_at;
        Ok(OrderRequest { location, lines, payment_method, pickup_at, expected_total, note })
    }
}

/// The invalid fields so far.
struct Errors(Vec<FieldError>);

impl Errors {
    /// The value, or `None` after adding the error of the field.
    fn check<T, E: Display>(&mut self, field: &str, result: Result<T, E>) -> Option<T> {
        let add = |error: E| {
            self.0.push(FieldError { field: field.to_owned(), detail: error.to_string() });
        };
        result.map_err(add).ok()
    }

    /// The same for a value that may be absent.
    fn check_optional<T, E: Display>(
        &mut self,
        field: &str,
        result: Option<Result<T, E>>,
    ) -> Option<Option<T>> {
        self.check(field, result.transpose())
    }

    fn check_lines(&mut self, lines: Vec<LineBody>) -> Option<Vec<RequestedLine>> {
        let within_limit = (1..=MAX_LINES).contains(&lines.len());
        let limit = within_limit.then_some(()).ok_or(format!("must be 1 to {MAX_LINES} lines"));
        let limit = self.check("lines", limit);
        let mut parsed = Vec::with_capacity(lines.len());
        for (index, line) in lines.into_iter().enumerate() {
            let item = self.check(&format!("lines[{index}].item"), line.item.parse());
            let quantity =
                self.check(&format!("lines[{index}].quantity"), Pieces::try_from(line.quantity));
            let line = item.zip(quantity);
            parsed.push(line.map(|(item, quantity)| RequestedLine { item, quantity }));
        }
        limit.and_then(|()| parsed.into_iter().collect())
    }
}

fn parse_total(total: i64) -> Result<u64, String> {
    u64::try_from(total)
        .ok()
        .filter(|total| *total <= MAX_TOTAL)
        .ok_or_else(|| format!("must be a whole number from 0 to {MAX_TOTAL}"))
}

/// Reads lines from objects only: serde would also read a struct from an array of its fields.
fn objects<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<LineBody>, D::Error> {
    struct Line(LineBody);

    struct LineVisitor;

    impl<'de> Visitor<'de> for LineVisitor {
        type Value = Line;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object with `item` and `quantity`")
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Line, A::Error> {
            LineBody::deserialize(MapAccessDeserializer::new(map)).map(Line)
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

/// Reads a whole number, which JSON may also write as `2.0`. The error of another value names the
/// limits; whether a number is within them is checked later, with all other fields.
struct WholeNumber {
    min: i64,
    max: i64,
}

impl Visitor<'_> for WholeNumber {
    type Value = i64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a whole number from {} to {}", self.min, self.max)
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
    deserializer.deserialize_i64(WholeNumber { min: 1, max: Pieces::MAX.into() })
}

fn total<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    struct Total(i64);

    impl<'de> Deserialize<'de> for Total {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let limits = WholeNumber { min: 0, max: MAX_TOTAL.cast_signed() };
            deserializer.deserialize_i64(limits).map(Self)
        }
    }

    let total: Option<Total> = Option::deserialize(deserializer)?;
    Ok(total.map(|Total(total)| total))
}

fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let text: Option<String> = Option::deserialize(deserializer)?;
    let invalid = |_| {
        de::Error::custom(
            "must be a time with an offset, such as 2026-11-24T10:00:00+01:00 (RFC 3339)",
        )
    };
    text.map(|text| text.parse().map_err(invalid)).transpose()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn read(change: impl FnOnce(&mut Value)) -> Result<OrderBody, serde_json::Error> {
        let mut body = fixtures::order_body();
        change(&mut body);
        serde_json::from_value(body)
    }

    fn parsed(change: impl FnOnce(&mut Value)) -> OrderRequest {
        read(change).unwrap().parse().unwrap()
    }

    /// The errors, as `field: detail`.
    fn errors(change: impl FnOnce(&mut Value)) -> Vec<String> {
        let errors = read(change).unwrap().parse().err().unwrap_or_default();
        errors.iter().map(|error| format!("{}: {}", error.field, error.detail)).collect()
    }

    #[test]
    fn an_invalid_field_is_reported_with_its_limit() {
        const NAME: &str =
            "must be 1 to 64 characters, each a lower-case letter, a digit or a hyphen";
        const TOKEN: &str = "must be 1 to 255 letters, digits and underscores: the provider's id \
                             of a payment method, and never the number of a card";
        const TEXT: &str = "must be one line without control characters and invisible \
                            characters: character";
        let line = json!({"item": "croissant", "quantity": 1});
        for (pointer, value, expected) in [
            ("/location", json!("Paris!"), format!("location: {NAME}")),
            ("/lines", json!([]), "lines: must be 1 to 50 lines".into()),
            ("/lines", json!(vec![line; 51]), "lines: must be 1 to 50 lines".into()),
            ("/lines/0/item", json!(""), format!("lines[0].item: {NAME}")),
            ("/payment_method", json!("pm card"), format!("payment_method: {TOKEN}")),
            ("/payment_method", json!("4242424242424242"), format!("payment_method: {TOKEN}")),
            ("/payment_method", json!(""), format!("payment_method: {TOKEN}")),
            ("/payment_method", json!("p".repeat(256)), format!("payment_method: {TOKEN}")),
            ("/note", json!("é".repeat(501)), "note: must be at most 500 characters".into()),
            ("/note", json!("no bag\n"), format!("note: {TEXT} 7 is U+000A")),
            ("/note", json!("\u{202e}gab on"), format!("note: {TEXT} 1 is U+202E")),
        ] {
            let change = |body: &mut Value| {
                body["note"] = json!(null);
                *body.pointer_mut(pointer).unwrap() = value;
            };
            assert_eq!(errors(change), [expected]);
        }
        for quantity in [i64::MIN, -1, 0, 101] {
            assert_eq!(
                errors(|body| body["lines"][0]["quantity"] = json!(quantity)),
                ["lines[0].quantity: must be a whole number from 1 to 100"]
            );
        }
        for total in [json!(-1), json!(MAX_TOTAL + 1), json!(u64::MAX)] {
            assert_eq!(
                errors(|body| body["expected_total"] = total),
                ["expected_total: must be a whole number from 0 to 99999999"]
            );
        }
    }

    #[test]
    fn values_at_their_limits_are_accepted() {
        let request = parsed(|body| {
            body["lines"] = json!(vec![json!({"item": "croissant", "quantity": 100}); 50]);
            body["payment_method"] = json!("p".repeat(255));
            body["expected_total"] = json!(MAX_TOTAL);
            body["note"] = json!("é".repeat(500));
        });
        assert_eq!((request.lines.len(), request.expected_total), (50, Some(MAX_TOTAL)));
        assert_eq!(parsed(|body| body["expected_total"] = json!(0)).expected_total, Some(0));
    }

    #[test]
    fn all_invalid_fields_are_reported_at_once() {
        let errors = errors(|body| {
            body["location"] = json!("Paris!");
            body["lines"][0] = json!({"item": "Croissant", "quantity": 0});
            body["expected_total"] = json!(-1);
        });
        let fields: Vec<_> = errors.iter().map(|error| error.split(':').next().unwrap()).collect();
        let expected = ["location", "lines[0].item", "lines[0].quantity", "expected_total"];
        assert_eq!(fields, expected);
    }

    #[test]
    fn a_value_of_another_type_is_reported_with_the_expected_type() {
        let error = |pointer: &str, value: Value| {
            let change = |body: &mut Value| {
                body["pickup_at"] = json!(null);
                body["expected_total"] = json!(null);
                *body.pointer_mut(pointer).unwrap() = value;
            };
            read(change).err().unwrap().to_string()
        };
        for quantity in [json!(1.5), json!("2"), json!(null), json!(1e300)] {
            assert!(
                error("/lines/0/quantity", quantity)
                    .contains("expected a whole number from 1 to 100")
            );
        }
        for total in [json!(3.8), json!("380")] {
            assert!(
                error("/expected_total", total)
                    .contains("expected a whole number from 0 to 99999999")
            );
        }
        assert!(
            error("/lines/0", json!(["croissant", 2]))
                .contains("expected an object with `item` and `quantity`")
        );
        assert!(error("/pickup_at", json!("tomorrow")).contains("must be a time with an offset"));
    }

    #[test]
    fn the_fingerprint_does_not_depend_on_the_spelling() {
        let plain = "11322c155cde6a3908c37e514c37171895b95aba9ccb4392ab9fb4f2e41b4205";
        let picked_up = "505527d9b513c0773545cf780001ab1407b77b51e0103709a0149d2a79ff239c";
        let expecting = "60975b83906968bd07f62d014c493e2f45b626460eda3750d855cf1599950c99";
        for (body, fingerprint) in [
            (json!({}), plain),
            (json!({"note": null, "lines": [{"quantity": 2.0, "item": "croissant"}]}), plain),
            (json!({"pickup_at": "2026-11-25T10:00:00+01:00"}), picked_up),
            (json!({"pickup_at": "2026-11-25T09:00:00Z"}), picked_up),
            (json!({"expected_total": 380}), expecting),
            (json!({"expected_total": 380.0}), expecting),
        ] {
            let request = parsed(|order| {
                for (name, value) in body.as_object().unwrap() {
                    order[name] = value.clone();
                }
            });
            assert_eq!(request.fingerprint(), fingerprint, "{body}");
        }
    }

    proptest! {
        #[test]
        fn no_body_makes_parsing_panic(text in any::<String>(), value in any::<f64>()) {
            let _ = serde_json::from_str::<OrderBody>(&text);
            let body = json!({
                "location": text,
                "lines": [{"item": text, "quantity": value}],
                "payment_method": text,
                "expected_total": value,
                "note": text,
            });
            if let Ok(body) = serde_json::from_value::<OrderBody>(body) {
                let _ = body.parse();
            }
        }
    }
}
