//! Pages of a customer's orders.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jiff::Timestamp;
use platform::http::{Problem, Request};
use serde::{Deserialize, Serialize};
use shop::{id::OrderId, order::Order};

/// The number of orders on a page unless the customer asks for another.
pub(crate) const DEFAULT_PAGE: usize = 20;
/// The most orders on a page.
pub(crate) const MAX_PAGE: usize = 50;

/// A page of a customer's orders, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The most orders on the page, from 1 on.
    pub limit: usize,
    /// The position after which the page starts; it starts with the newest order if absent.
    pub after: Option<Position>,
}

/// The last order of a page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// When the order was placed, in the format of its row: it is part of the key from which the
    /// next page starts.
    #[serde(with = "shop::order::milliseconds")]
    pub placed_at: Timestamp,
    /// The order's id.
    pub order_id: OrderId,
}

/// Parses the page that the query parameters `limit` and `cursor` ask for.
pub(crate) fn page(request: &Request) -> Result<Page, Problem> {
    let parameter = |name| request.query_string_parameters.first(name);
    Ok(Page {
        limit: parameter("limit").map_or(Ok(DEFAULT_PAGE), parse_limit)?,
        after: parameter("cursor").map(parse_cursor).transpose()?,
    })
}

fn parse_limit(limit: &str) -> Result<usize, Problem> {
    limit.parse().ok().filter(|limit| (1..=MAX_PAGE).contains(limit)).ok_or_else(|| {
        let detail = format!("must be a whole number from 1 to {MAX_PAGE}");
        Problem::invalid_field(400, "limit", detail)
    })
}

fn parse_cursor(cursor: &str) -> Result<Position, Problem> {
    let json = BASE64_URL_SAFE_NO_PAD.decode(cursor).ok();
    json.and_then(|json| serde_json::from_slice(&json).ok())
        .ok_or_else(|| Problem::invalid_field(400, "cursor", "must be `next` of the previous page"))
}

/// The cursor of the page after the order `last`.
pub(crate) fn cursor(last: &Order) -> String {
    let position = Position { placed_at: last.placed_at, order_id: last.order_id };
    let json = serde_json::to_vec(&position).expect("two texts are always JSON");
    BASE64_URL_SAFE_NO_PAD.encode(json)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn page_of(parameters: &[(&str, &str)]) -> Result<Page, u16> {
        let parameters: HashMap<_, _> = parameters
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let mut request = fixtures::request("GET /orders");
        request.query_string_parameters = parameters.into();
        page(&request).map_err(|problem| problem.status())
    }

    #[test]
    fn a_page_has_1_to_50_orders_and_20_by_default() {
        let limit = |limit| page_of(&[("limit", limit)]).map(|page| page.limit);
        assert_eq!(page_of(&[]), Ok(Page { limit: 20, after: None }));
        assert_eq!((limit("1"), limit("50")), (Ok(1), Ok(50)));
        for invalid in ["0", "51", "-1", "1.0", "many", ""] {
            assert_eq!(limit(invalid), Err(400), "{invalid:?}");
        }
    }

    #[test]
    fn a_cursor_leads_to_the_position_after_its_order() {
        let last = fixtures::order();
        let after = Position { placed_at: last.placed_at, order_id: last.order_id };
        let page = page_of(&[("cursor", &cursor(&last))]);
        assert_eq!(page, Ok(Page { limit: DEFAULT_PAGE, after: Some(after) }));
        for invalid in ["?", "e30", ""] {
            assert_eq!(page_of(&[("cursor", invalid)]), Err(400), "{invalid:?}");
        }
    }

    #[test]
    fn a_position_has_the_time_in_the_format_of_the_row() {
        let position = Position {
            placed_at: "2026-11-24T08:00:00.12Z".parse().unwrap(),
            order_id: fixtures::ORDER.parse().unwrap(),
        };
        assert_eq!(
            serde_json::to_value(position).unwrap()["placed_at"],
            "2026-11-24T08:00:00.120Z"
        );
    }
}
