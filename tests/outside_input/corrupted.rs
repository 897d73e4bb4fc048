//! Values that are almost valid.

use proptest::{collection::vec, prelude::*, sample::Index};
use serde_json::{Map, Number, Value};

/// JSON that differs from a valid value in at most four places.
pub(crate) fn json(valid: Value) -> impl Strategy<Value = Value> {
    vec((any::<Index>(), corruption()), 0..=4).prop_map(move |corruptions| {
        let mut json = valid.clone();
        for (place, corruption) in corruptions {
            let places = places(&json);
            corruption.apply(&mut json, &places[place.index(places.len())]);
        }
        json
    })
}

/// The text of such JSON, sometimes cut off, extended or replaced.
pub(crate) fn text(valid: Value) -> impl Strategy<Value = String> {
    prop_oneof![
        12 => json(valid.clone()).prop_map(|json| json.to_string()),
        1 => (json(valid.clone()), any::<Index>()).prop_map(|(json, end)| {
            let text: Vec<char> = json.to_string().chars().collect();
            text[..end.index(text.len() + 1)].iter().collect()
        }),
        1 => (json(valid), ".{1,8}").prop_map(|(json, more)| json.to_string() + &more),
        1 => any::<String>(),
    ]
}

/// Any JSON.
fn anything() -> impl Strategy<Value = Value> {
    let number = prop_oneof![
        any::<i64>().prop_map(Number::from),
        any::<u64>().prop_map(Number::from),
        any::<f64>().prop_map(|number| Number::from_f64(number).unwrap_or_else(|| 0.into())),
        prop::sample::select(vec![
            0,
            1,
            -1,
            100,
            101,
            i64::from(i32::MAX),
            i64::from(u32::MAX),
            i64::MIN,
            i64::MAX
        ])
        .prop_map(Number::from),
    ];
    let texts = [
        "",
        "0",
        "-1",
        "1e400",
        "null",
        "2026-02-30",
        "-009999-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
        "\0",
        "\u{fffe}",
    ];
    let text = prop_oneof![
        any::<String>(),
        prop::sample::select(texts.to_vec()).prop_map(str::to_owned),
        ".{300}"
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        number.prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec(("[a-zA-Z_]{0,8}", inner), 0..4)
                .prop_map(|fields| Value::from(fields.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

#[derive(Clone, Debug)]
enum Corruption {
    Replace(Value),
    Remove,
    /// Adds a field to an object or an element to a list.
    Add(Value),
    /// Replaces a number by a text, and a text by a number.
    Retype,
}

fn corruption() -> impl Strategy<Value = Corruption> {
    prop_oneof![
        3 => anything().prop_map(Corruption::Replace),
        2 => Just(Corruption::Remove),
        1 => anything().prop_map(Corruption::Add),
        1 => Just(Corruption::Retype),
    ]
}

impl Corruption {
    fn apply(self, json: &mut Value, place: &[String]) {
        if let (Self::Remove, Some((last, parents))) = (&self, place.split_last()) {
            match at(json, parents) {
                Value::Object(fields) => drop(fields.remove(last)),
                Value::Array(elements) => drop(elements.remove(last.parse().unwrap())),
                _ => unreachable!("only objects and lists contain values"),
            }
            return;
        }
        let target = at(json, place);
        match (self, &mut *target) {
            (Self::Replace(value), target) => *target = value,
            (Self::Add(value), Value::Object(fields)) => {
                drop(fields.insert("unknown".to_owned(), value))
            }
            (Self::Add(value), Value::Array(elements)) => elements.push(value),
            (Self::Retype, Value::Number(number)) => *target = number.to_string().into(),
            (Self::Retype, Value::String(text)) => *target = text.len().into(),
            (_, target) => *target = Value::Null,
        }
    }
}

/// The paths of all values in a JSON value, including the value itself.
fn places(json: &Value) -> Vec<Vec<String>> {
    let inside: Vec<(String, &Value)> = match json {
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), value)).collect(),
        Value::Array(elements) => {
            elements.iter().enumerate().map(|(place, value)| (place.to_string(), value)).collect()
        }
        _ => Vec::new(),
    };
    let below = inside.into_iter().flat_map(|(step, value)| {
        places(value).into_iter().map(move |place| [vec![step.clone()], place].concat())
    });
    [Vec::new()].into_iter().chain(below).collect()
}

fn at<'a>(json: &'a mut Value, place: &[String]) -> &'a mut Value {
    place.iter().fold(json, |json, step| match json {
        Value::Array(elements) => &mut elements[step.parse::<usize>().unwrap()],
        json => &mut json[step],
    })
}
