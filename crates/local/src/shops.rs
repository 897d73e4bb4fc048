//! Loading shops with their menus and bake plans from a file into the tables of a stack.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs,
    path::Path,
};

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client as DynamoDb;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, MapAccess, SeqAccess, Visitor},
};
use shop::{id::ItemId, menu::Menu, stock::BakePlan};
use stack::Outputs;
use tables::stock::Key;

use crate::{
    Error,
    error::{aws, failed, io},
};

/// A shop in a file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shop {
    /// The shop's row in the Menu table.
    pub menu: Menu,
    /// The number of pieces per day of each item.
    pub bake_plan: BTreeMap<ItemId, u32>,
}

/// The row of the Stock table that holds a bake plan.
#[derive(Serialize)]
struct PlanRow {
    key: String,
    #[serde(flatten)]
    plan: BakePlan,
}

/// Reads a file of shops.
///
/// # Errors
/// The file cannot be read, or a field is wrong. The message names the field.
pub fn read(path: &Path) -> Result<Vec<Shop>, Error> {
    let text = fs::read_to_string(path).map_err(io(format!("reading {}", path.display())))?;
    parse(&text).map_err(|reason| Error::Shops { path: path.to_owned(), reason })
}

/// JSON in which no object has a name twice. Maps would keep the last value without a word.
struct WithoutRepeatedNames;

impl<'de> Deserialize<'de> for WithoutRepeatedNames {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for WithoutRepeatedNames {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        let mut seen = BTreeSet::new();
        while let Some(name) = map.next_key::<String>()? {
            map.next_value::<Self>()?;
            if seen.contains(&name) {
                return Err(de::Error::custom(format!("`{name}` appears twice; keep one")));
            }
            seen.insert(name);
        }
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self, A::Error> {
        while list.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }
}

fn parse(text: &str) -> Result<Vec<Shop>, String> {
    let mut json = serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize::<_, WithoutRepeatedNames>(&mut json)
        .map_err(|error| error.to_string())?;
    let mut json = serde_json::Deserializer::from_str(text);
    let shops: Vec<Shop> =
        serde_path_to_error::deserialize(&mut json).map_err(|error| error.to_string())?;
    json.end().map_err(|error| error.to_string())?;
    if shops.is_empty() {
        return Err("the file contains no shops".to_owned());
    }
    let mut seen = BTreeSet::new();
    for (index, shop) in shops.iter().enumerate() {
        shop.menu.validate().map_err(|error| format!("[{index}].menu.{error}"))?;
        if !seen.insert(&shop.menu.location) {
            return Err(format!(
                "[{index}].menu.location: `{}` appears twice; keep one",
                shop.menu.location
            ));
        }
        if let Some(item) = shop.bake_plan.keys().find(|item| shop.menu.item(item).is_none()) {
            return Err(format!("[{index}].bake_plan: `{item}` is not on the menu"));
        }
    }
    Ok(shops)
}

/// Writes shops to the tables of a stack. Replaces shops with the same id.
///
/// # Errors
/// The stack lacks the tables, or DynamoDB does not answer.
pub async fn load(config: &SdkConfig, outputs: &Outputs, shops: &[Shop]) -> Result<(), Error> {
    let client = DynamoDb::new(config);
    for Shop { menu, bake_plan } in shops {
        // The plan first, so that everything on the menu can be reserved.
        let plan = PlanRow {
            key: Key::Plan(menu.location.clone()).to_string(),
            plan: BakePlan { capacity: bake_plan.clone() },
        };
        put(&client, outputs.get("StockTableName")?, &plan).await?;
        put(&client, outputs.get("MenuTableName")?, menu).await?;
    }
    Ok(())
}

async fn put(client: &DynamoDb, table: &str, row: &impl Serialize) -> Result<(), Error> {
    let row = serde_dynamo::to_item(row);
    let row = row.map_err(|error| failed("dynamodb:PutItem", error))?;
    client
        .put_item()
        .table_name(table)
        .set_item(Some(row))
        .send()
        .await
        .map_err(aws("dynamodb:PutItem"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn paris() -> Value {
        json!({
            "menu": {
                "location": "paris",
                "name": "Paris",
                "time_zone": "Europe/Paris",
                "currency": "EUR",
                "opening_hours": {"monday": [{"from": "07:00", "to": "19:00"}]},
                "items": [{"sku": "croissant", "name": "Croissant", "price": 190}]
            },
            "bake_plan": {"croissant": 20}
        })
    }

    fn reason(shops: &Value) -> String {
        parse(&shops.to_string()).unwrap_err()
    }

    #[test]
    fn the_demo_shops_can_be_loaded() {
        let shops = read(&stack::workspace::root().join("crates/local/demo/shops.json")).unwrap();
        assert_eq!(shops.len(), 3);
    }

    #[test]
    fn an_error_names_the_field_that_is_wrong() {
        let mut shop = paris();
        shop["menu"]["items"][0]["price"] = json!("1.90");
        assert!(
            reason(&json!([paris(), shop])).starts_with("[1].menu.items[0].price: "),
            "{}",
            reason(&json!([paris(), shop]))
        );

        let mut shop = paris();
        shop["menu"]["items"][0]["price"] = json!(0);
        assert!(
            reason(&json!([shop])).starts_with("[0].menu.items: "),
            "{}",
            reason(&json!([shop]))
        );

        for (field, value, expected) in [
            ("lead_time_minutes", json!(0), "must be a whole number of minutes from 1 to 1440"),
            (
                "opening_hours",
                json!({"monday": [{"from": "07:00", "to": "07 pm"}]}),
                "must be a time of day from 00:00 to 24:00, such as 19:30",
            ),
            (
                "opening_hours",
                json!({"sunday": [{"from": "18:00", "to": "02:00"}],
                       "monday": [{"from": "01:00", "to": "09:00"}]}),
                "must not be before the end of opening_hours.sunday[0]; \
                 opening hours, also those past midnight, must not overlap",
            ),
            (
                "special_hours",
                json!({"2026-12-24": [{"from": "07:00", "to": "07:00"}]}),
                "must differ from `from`; write 00:00 to 24:00 for a whole day",
            ),
            ("special_hours", json!({"2026-02-29": []}), "2026-02-29"),
        ] {
            let mut shop = paris();
            shop["menu"][field] = value;
            let reason = reason(&json!([paris(), shop]));
            assert!(
                reason.starts_with(&format!("[1].menu.{field}")) && reason.contains(expected),
                "{reason}"
            );
        }

        let mut shop = paris();
        shop["menu"]["name"] = json!("Paris\n");
        assert!(
            reason(&json!([shop])).starts_with("[0].menu.name: must be one line"),
            "{}",
            reason(&json!([shop]))
        );

        let mut shop = paris();
        shop["menu"]["items"][0]["name"] = json!("Croissant\u{200b}");
        assert!(
            reason(&json!([shop])).contains("items[0].name: must be one line")
                && reason(&json!([shop])).contains("character 10 is U+200B"),
            "{}",
            reason(&json!([shop]))
        );

        let twice = json!([paris()]).to_string();
        let twice = twice.replacen(r#""monday":["#, r#""monday":[],"monday":["#, 1);
        let error = parse(&twice).unwrap_err();
        assert!(error.starts_with("[0].menu.opening_hours: `monday` appears twice"), "{error}");

        let mut shop = paris();
        shop["menu"]["opening_hours"]["monday"][0]["from"] = json!("6:30");
        let reason = reason(&json!([shop]));
        assert!(reason.starts_with("[0].menu.opening_hours.monday[0].from"), "{reason}");
    }

    #[test]
    fn an_item_that_is_baked_is_on_the_menu() {
        let mut shop = paris();
        shop["bake_plan"]["crossiant"] = json!(5);
        assert_eq!(reason(&json!([shop])), "[0].bake_plan: `crossiant` is not on the menu");
    }

    #[test]
    fn a_file_contains_each_shop_once_and_at_least_one_shop() {
        assert_eq!(
            reason(&json!([paris(), paris()])),
            "[1].menu.location: `paris` appears twice; keep one"
        );
        assert_eq!(reason(&json!([])), "the file contains no shops");
    }
}
