//! The use cases, one per route.

use jiff::{SignedDuration, Timestamp};
use platform::{
    cause::chain,
    http::{Problem, Request, Response, accepted, json},
    table::{StoreError, Write},
};
use shop::{
    id::{CustomerId, LocationId, OrderId},
    order::{Order, Status, Trigger},
    placement,
};
use tables::orders::{Outcome, TriggerError};

use crate::{
    menus::{MenuCache, Menus},
    problem::{key_reused, no_such_order, not_cancellable, refused, unknown_location},
    request::{self, Page},
    view::{LocationsView, OrderView, OrdersView},
};

/// Orders, as far as this function may touch them: read and moved on like everywhere, and put and
/// listed here alone.
pub trait Orders: tables::orders::Orders {
    /// Writes a new order, unless there is one with its id.
    async fn put(&self, order: &Order) -> Result<Write<Order>, StoreError>;

    /// A customer's orders, newest first, after `page.after`; an order placed within the last
    /// moments may be missing.
    async fn list(&self, customer: &CustomerId, page: &Page) -> Result<Vec<Order>, StoreError>;
}

/// The function with its ports.
#[derive(Debug)]
pub struct OrderIntake<S> {
    orders: S,
    menus: MenuCache<S>,
    confirm_within: SignedDuration,
}

impl<S: Orders + Menus + Clone> OrderIntake<S> {
    /// Orders taken expire after `confirm_within`; menus are read again after `menu_age`.
    pub fn new(store: S, confirm_within: SignedDuration, menu_age: SignedDuration) -> Self {
        Self { orders: store.clone(), menus: MenuCache::new(store, menu_age), confirm_within }
    }

    /// Reads the menus ahead of the first request. Where that fails, the first request will have
    /// to.
    pub async fn prepare(&self, now: Timestamp) {
        if let Err(error) = self.menus.fill(now).await {
            tracing::warn!(error = chain(&error), "the menus are not read yet");
        }
    }

    /// Answers a request. Every error is an answer as well.
    pub async fn handle(&self, request: Request, now: Timestamp) -> Response {
        let answer = match request.route_key.as_deref() {
            Some("POST /orders") => self.place(&request, now).await,
            Some("GET /orders") => self.list(&request).await,
            Some("GET /orders/{id}") => self.show(&request).await,
            Some("POST /orders/{id}/cancel") => self.cancel(&request, now).await,
            Some("GET /menu/{location}") => self.menu(&request, now).await,
            Some("GET /locations") => self.locations(now).await,
            _ => Err(Problem::not_found("There is no such route.").into()),
        };
        answer.unwrap_or_else(|failure| match failure {
            Failure::Problem(problem) => (*problem).into(),
            Failure::Store(_) | Failure::Advance(_) => {
                tracing::error!(error = chain(&failure), "could not answer");
                Problem::unavailable().into()
            }
        })
    }

    async fn place(&self, request: &Request, now: Timestamp) -> Result<Response, Failure> {
        let customer = request::customer(request)?;
        let key = request::idempotency_key(request)?;
        let wanted = request::order(request)?;
        let fingerprint = wanted.fingerprint();

        let location: LocationId = wanted
            .location
            .parse()
            .map_err(|error| Problem::invalid_field(400, "location", error))?;
        let placed = match self.menus.menu(&location, now).await? {
            None => Err(unknown_location(&location)),
            Some(menu) => {
                placement::place(&wanted, customer.clone(), &key, &menu, now, self.confirm_within)
                    .map_err(refused)
            }
        };
        let (order, write) = match placed {
            Ok(order) => {
                let write = self.orders.put(&order).await?;
                (order, write)
            }
            // Menu and clock may have changed since the same request was accepted: then it still
            // is.
            Err(refusal) => match self.orders.get(OrderId::derive(&customer, &key)).await? {
                None => return Err(refusal.into()),
                Some(order) => (order.clone(), Write::Conflict(order)),
            },
        };
        let order = match write {
            Write::Committed => {
                tracing::info!(order_id = %order.order_id, location = %order.location, total = order.total, "placed");
                order
            }
            Write::Conflict(first) if first.fingerprint == fingerprint => first,
            Write::Conflict(_) => return Err(key_reused().into()),
        };
        let location = format!("/orders/{}", order.order_id);
        Ok(accepted(&location, &OrderView::from(order)))
    }

    async fn show(&self, request: &Request) -> Result<Response, Failure> {
        Ok(json(200, &OrderView::from(self.own_order(request).await?)))
    }

    /// A body that comes along is ignored: there is nothing to say beyond the path.
    async fn cancel(&self, request: &Request, now: Timestamp) -> Result<Response, Failure> {
        let order = self.own_order(request).await?;
        match tables::orders::apply_trigger(&self.orders, order, &Trigger::Cancelled, None, now)
            .await?
        {
            Outcome::Unchanged(order) if order.status != Status::Cancelled => {
                Err(not_cancellable(order.status).into())
            }
            Outcome::Changed(order) | Outcome::Unchanged(order) => {
                Ok(json(200, &OrderView::from(order)))
            }
        }
    }

    /// The order that the path names. Another customer's does not exist.
    async fn own_order(&self, request: &Request) -> Result<Order, Failure> {
        let customer = request::customer(request)?;
        let id = request::order_id(request)?;
        let order = self.orders.get(id).await?.filter(|order| order.customer_id == customer);
        Ok(order.ok_or_else(no_such_order)?)
    }

    async fn list(&self, request: &Request) -> Result<Response, Failure> {
        let customer = request::customer(request)?;
        let page = request::page(request)?;
        let orders = self.orders.list(&customer, &page).await?;
        // A full page may be the last one; then the next is empty.
        let next = orders.last().filter(|_| orders.len() == page.limit).map(request::cursor);
        let orders = orders.into_iter().map(OrderView::from).collect();
        Ok(json(200, &OrdersView { orders, next }))
    }

    async fn menu(&self, request: &Request, now: Timestamp) -> Result<Response, Failure> {
        let location = request::location(request)?;
        let menu = self.menus.menu(&location, now).await?;
        let menu = menu.ok_or_else(|| {
            Problem::not_found(format!("There is no shop `{location}`; GET /locations lists all."))
        })?;
        Ok(json(200, &*menu))
    }

    async fn locations(&self, now: Timestamp) -> Result<Response, Failure> {
        Ok(json(200, &LocationsView { locations: &self.menus.locations(now).await? }))
    }
}

/// Why there is no order to show.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("answered")]
    Problem(Box<Problem>),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Advance(#[from] TriggerError),
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Problem(Box::new(problem))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};
    use shop::{menu::Menu, money::MAX_TOTAL};
    use tables::orders::Orders as _;

    use super::*;
    use crate::{
        memory::MemoryTables,
        openapi::{Document, json_of},
    };

    /// A Tuesday morning; the shop is open.
    const NOW: &str = "2026-11-24T08:00:00Z";

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn menu(price: u64) -> Menu {
        serde_json::from_value(json!({
            "location": "paris", "name": "Amélie Paris", "time_zone": "Europe/Paris", "currency": "EUR",
            "opening_hours": {"tuesday": [{"from": "07:00", "to": "19:00"}]},
            "items": [{"sku": "croissant", "name": "Butter croissant", "price": price}]
        }))
        .unwrap()
    }

    struct Api {
        tables: MemoryTables,
        intake: OrderIntake<MemoryTables>,
        document: Document,
    }

    fn api() -> Api {
        let tables = MemoryTables::default();
        tables.load(menu(190));
        let intake = OrderIntake::new(
            tables.clone(),
            SignedDuration::from_mins(15),
            SignedDuration::from_secs(60),
        );
        Api { tables, intake, document: Document::committed() }
    }

    fn order() -> Value {
        json!({"location": "paris", "lines": [{"item": "croissant", "quantity": 2}], "payment_method": "pm_card_visa"})
    }

    /// A request as the gateway sends it.
    fn request(route: &str, customer: &str, change: impl FnOnce(&mut Value)) -> Request {
        let mut event = json!({
            "version": "2.0", "routeKey": route, "rawPath": "/", "headers": {"content-type": "application/json", "idempotency-key": "key"},
            "requestContext": {
                "http": {"method": route.split(' ').next(), "path": "/"},
                "authorizer": {"jwt": {"claims": {"sub": customer}, "scopes": null}}
            },
            "isBase64Encoded": false
        });
        change(&mut event);
        serde_json::from_value(event).unwrap()
    }

    fn post(customer: &str, order: &Value) -> Request {
        request("POST /orders", customer, |event| event["body"] = json!(order.to_string()))
    }

    impl Api {
        async fn send(&self, request: Request) -> (i64, Value) {
            self.send_at(request, NOW).await
        }

        async fn send_at(&self, request: Request, now: &str) -> (i64, Value) {
            let route = request.route_key.clone().unwrap();
            let response = self.intake.handle(request, at(now)).await;
            self.document.check(&route, &response);
            (response.status_code, json_of(&response))
        }

        async fn show(&self, customer: &str, id: &Value) -> (i64, Value) {
            self.send(request("GET /orders/{id}", customer, |event| {
                event["pathParameters"] = json!({"id": id})
            }))
            .await
        }

        async fn cancel(&self, customer: &str, id: &Value) -> (i64, Value) {
            self.send(request("POST /orders/{id}/cancel", customer, |event| {
                event["pathParameters"] = json!({"id": id})
            }))
            .await
        }

        /// Lets an order go through states, as other functions would.
        async fn go_through(&self, id: &Value, triggers: &[Trigger]) {
            for trigger in triggers {
                let order =
                    self.tables.get(id.as_str().unwrap().parse().unwrap()).await.unwrap().unwrap();
                let outcome =
                    tables::orders::apply_trigger(&self.tables, order, trigger, None, at(NOW))
                        .await
                        .unwrap();
                assert!(matches!(outcome, Outcome::Changed(_)), "{outcome:?}");
            }
        }
    }

    #[tokio::test]
    async fn an_order_is_accepted_with_its_prices_and_can_be_seen() {
        let api = api();
        let response = api.intake.handle(post("camille", &order()), at(NOW)).await;
        let placed = json_of(&response);
        assert_eq!(response.status_code, 202);
        assert_eq!(
            response.headers["location"],
            format!("/orders/{}", placed["order_id"].as_str().unwrap())
        );
        assert_eq!(
            (&placed["status"], &placed["total"], &placed["currency"]),
            (&json!("placed"), &json!(380), &json!("EUR"))
        );
        assert_eq!(placed["lines"][0]["unit_price"], 190);
        assert_eq!(api.show("camille", &placed["order_id"]).await, (200, placed));
    }

    #[tokio::test]
    async fn an_answer_never_holds_the_means_of_payment() {
        let (_, placed) = api().send(post("camille", &order())).await;
        assert!(!placed.to_string().contains("pm_card_visa"));
    }

    #[tokio::test]
    async fn somebody_elses_order_does_not_exist() {
        let api = api();
        let (_, placed) = api.send(post("camille", &order())).await;
        assert_eq!(api.show("noor", &placed["order_id"]).await.0, 404);
        let (_, theirs) = api.send(request("GET /orders", "noor", |_| ())).await;
        assert_eq!(theirs["orders"], json!([]));
    }

    #[tokio::test]
    async fn the_same_key_and_body_is_the_same_order_in_its_current_state() {
        let api = api();
        let (_, placed) = api.send(post("camille", &order())).await;
        api.go_through(&placed["order_id"], &[Trigger::StockReserved]).await;
        let (status, replayed) = api.send(post("camille", &order())).await;
        assert_eq!(
            (status, &replayed["order_id"], &replayed["status"]),
            (202, &placed["order_id"], &json!(Status::Reserved))
        );
    }

    #[tokio::test]
    async fn an_accepted_order_is_replayed_after_the_menu_has_changed_and_the_shop_has_closed() {
        let api = api();
        let mut expecting = order();
        expecting["expected_total"] = json!(380);
        expecting["pickup_at"] = json!("2026-11-24T10:00:00Z");
        let (_, placed) = api.send(post("camille", &expecting)).await;
        api.tables.load(menu(250));
        let (status, replayed) =
            api.send_at(post("camille", &expecting), "2026-11-25T23:00:00Z").await;
        assert_eq!((status, replayed), (202, placed));
    }

    #[tokio::test]
    async fn the_same_key_with_another_body_is_refused() {
        let api = api();
        api.send(post("camille", &order())).await;
        let mut other = order();
        other["note"] = json!("for two");
        let (status, problem) = api.send(post("camille", &other)).await;
        assert_eq!(
            (status, &problem["type"]),
            (422, &json!("urn:amelie:problem:idempotency-key-reused"))
        );
        other["location"] = json!("nowhere");
        assert_eq!(
            api.send(post("camille", &other)).await.1["type"],
            "urn:amelie:problem:idempotency-key-reused"
        );
    }

    #[tokio::test]
    async fn the_same_key_of_another_customer_is_another_order() {
        let api = api();
        let (_, camille) = api.send(post("camille", &order())).await;
        let (status, noor) = api.send(post("noor", &order())).await;
        assert_eq!(status, 202);
        assert_ne!(camille["order_id"], noor["order_id"]);
    }

    #[tokio::test]
    async fn an_order_is_cancelled_until_it_is_being_made_and_again_is_the_same() {
        let api = api();
        let on_the_way: [&[Trigger]; 3] =
            [&[], &[Trigger::StockReserved], &[Trigger::StockReserved, Trigger::PaymentCaptured]];
        for (key, triggers) in on_the_way.into_iter().enumerate() {
            let keyed = request("POST /orders", "camille", |event| {
                event["body"] = json!(order().to_string());
                event["headers"]["idempotency-key"] = json!(key.to_string());
            });
            let (_, placed) = api.send(keyed).await;
            api.go_through(&placed["order_id"], triggers).await;
            let (status, cancelled) = api.cancel("camille", &placed["order_id"]).await;
            assert_eq!(
                (status, &cancelled["status"], &cancelled["order_id"]),
                (200, &json!("cancelled"), &placed["order_id"])
            );
            assert_eq!(api.cancel("camille", &placed["order_id"]).await, (200, cancelled.clone()));
            assert_eq!(api.show("camille", &placed["order_id"]).await, (200, cancelled));
        }
    }

    #[tokio::test]
    async fn an_order_that_has_gone_too_far_or_has_ended_is_not_cancelled_and_tells_where_it_stands()
     {
        let made = [Trigger::StockReserved, Trigger::PaymentCaptured, Trigger::PreparationStarted];
        for (triggers, stands) in
            [(&made[..], "preparing"), (&[Trigger::StockRejected(vec![])], "rejected")]
        {
            let api = api();
            let (_, placed) = api.send(post("camille", &order())).await;
            api.go_through(&placed["order_id"], triggers).await;
            let (status, problem) = api.cancel("camille", &placed["order_id"]).await;
            let kind = json!("urn:amelie:problem:not-cancellable");
            assert_eq!(
                (status, &problem["type"], &problem["order_status"]),
                (409, &kind, &json!(stands))
            );
            assert_eq!(api.show("camille", &placed["order_id"]).await.1["status"], stands);
        }
    }

    #[tokio::test]
    async fn nobody_cancels_somebody_elses_order_or_one_that_is_none() {
        let api = api();
        let (_, placed) = api.send(post("camille", &order())).await;
        let (status, theirs) = api.cancel("noor", &placed["order_id"]).await;
        let nothing = json!("00000000-0000-0000-0000-000000000000");
        assert_eq!((status, theirs), api.cancel("camille", &nothing).await);
        assert_eq!((status, &api.show("camille", &placed["order_id"]).await.1), (404, &placed));
        let (status, problem) = api.cancel("camille", &json!("42")).await;
        assert_eq!((status, &problem["errors"][0]["field"]), (400, &json!("id")));
    }

    #[tokio::test]
    async fn a_total_that_no_longer_holds_is_a_conflict_that_tells_the_one_that_does() {
        let mut stale = order();
        stale["expected_total"] = json!(360);
        let (status, problem) = api().send(post("camille", &stale)).await;
        assert_eq!(
            (status, &problem["total"], &problem["currency"]),
            (409, &json!(380), &json!("EUR"))
        );
    }

    #[tokio::test]
    async fn bad_orders_are_told_their_field_and_leave_no_trace() {
        let api = api();
        let order = || {
            let mut order = order();
            order["expected_total"] = json!(380);
            order
        };
        let cases: [(&str, Value, i64, &str); 9] = [
            ("/location", json!("nowhere"), 422, "location"),
            ("/lines", json!([]), 400, "lines"),
            ("/lines/0/quantity", json!(101), 400, "lines[0].quantity"),
            ("/lines/0/quantity", json!(1.5), 400, "lines[0].quantity"),
            ("/lines/0", json!(["croissant", 2]), 400, "lines[0]"),
            ("/expected_total", json!(MAX_TOTAL + 1), 400, "expected_total"),
            ("/lines/0/item", json!("bagel"), 422, "lines[0].item"),
            ("/payment_method", json!("pm card"), 400, "payment_method"),
            ("/location", json!("Où?"), 400, "location"),
        ];
        for (pointer, value, expected, field) in cases {
            let mut bad = order();
            *bad.pointer_mut(pointer).unwrap() = value;
            let (status, problem) = api.send(post("camille", &bad)).await;
            assert_eq!(
                (status, problem["errors"][0]["field"].as_str()),
                (expected, Some(field)),
                "{problem}"
            );
        }
        assert_eq!(
            api.send(request("GET /orders", "camille", |_| ())).await.1["orders"],
            json!([])
        );
    }

    #[tokio::test]
    async fn an_order_needs_an_idempotency_key_of_visible_characters() {
        let api = api();
        let with_key = |key: Value| {
            request("POST /orders", "camille", |event| {
                event["body"] = json!(order().to_string());
                event["headers"]["idempotency-key"] = key;
            })
        };
        for key in [json!(""), json!("k".repeat(256)), json!("a\tb")] {
            let (status, problem) = api.send(with_key(key)).await;
            assert_eq!(
                (status, problem["errors"][0]["field"].as_str()),
                (400, Some("Idempotency-Key"))
            );
        }
        let without = request("POST /orders", "camille", |event| {
            event["body"] = json!(order().to_string());
            event["headers"].as_object_mut().unwrap().remove("idempotency-key");
        });
        assert_eq!(api.send(without).await.0, 400);
        assert_eq!(api.send(with_key(json!("k".repeat(255)))).await.0, 202);
    }

    #[tokio::test]
    async fn orders_are_listed_newest_first_in_pages_that_miss_and_repeat_nothing() {
        let api = api();
        for n in 0..5 {
            let keyed = request("POST /orders", "camille", |event| {
                event["body"] = json!(order().to_string());
                event["headers"]["idempotency-key"] = json!(n.to_string());
            });
            // Two of them in the same millisecond.
            api.send_at(keyed, &format!("2026-11-24T08:00:0{}Z", n.min(3))).await;
        }
        let mut seen = Vec::new();
        let mut cursor = Value::Null;
        loop {
            let page = request("GET /orders", "camille", |event| {
                event["queryStringParameters"] = if cursor.is_null() {
                    json!({"limit": "2"})
                } else {
                    json!({"limit": "2", "cursor": cursor})
                };
            });
            let (status, page) = api.send(page).await;
            assert_eq!(status, 200);
            seen.extend(
                page["orders"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|order| (order["placed_at"].to_string(), order["order_id"].to_string())),
            );
            cursor = page["next"].clone();
            if cursor.is_null() {
                break;
            }
        }
        let mut sorted = seen.clone();
        sorted.sort();
        sorted.dedup();
        sorted.reverse();
        assert_eq!(seen.len(), 5);
        assert_eq!(seen, sorted);
    }

    #[tokio::test]
    async fn a_page_is_refused_when_its_limit_or_cursor_is_none() {
        let api = api();
        for (name, value) in
            [("limit", "0"), ("limit", "51"), ("limit", "many"), ("cursor", "?"), ("cursor", "e30")]
        {
            let page = request("GET /orders", "camille", |event| {
                event["queryStringParameters"] = json!({name: value})
            });
            let (status, problem) = api.send(page).await;
            assert_eq!((status, problem["errors"][0]["field"].as_str()), (400, Some(name)));
        }
    }

    #[tokio::test]
    async fn an_id_that_is_none_is_a_bad_request() {
        assert_eq!(api().show("camille", &json!("42")).await.0, 400);
    }

    #[tokio::test]
    async fn menus_that_were_read_ahead_are_served_until_they_are_old() {
        let api = api();
        api.intake.prepare(at(NOW)).await;
        api.tables.load(menu(250));
        let total = async |now| api.send_at(post(now, &order()), now).await.1["total"].clone();
        assert_eq!(total("2026-11-24T08:00:59Z").await, 380);
        assert_eq!(total("2026-11-24T08:01:00Z").await, 500);
    }

    #[tokio::test]
    async fn menus_and_locations_are_public_and_a_menu_is_read_again_when_it_is_old() {
        let api = api();
        let price = async |now| {
            let asked = request("GET /menu/{location}", "", |event| {
                event["pathParameters"] = json!({"location": "paris"})
            });
            api.send_at(asked, now).await.1["items"][0]["price"].clone()
        };
        assert_eq!(price(NOW).await, 190);
        api.tables.load(menu(250));
        assert_eq!(price("2026-11-24T08:00:59Z").await, 190);
        assert_eq!(price("2026-11-24T08:01:00Z").await, 250);

        let (status, list) = api.send(request("GET /locations", "", |_| ())).await;
        assert_eq!((status, &list["locations"][0]["location"]), (200, &json!("paris")));
        let nowhere = request("GET /menu/{location}", "", |event| {
            event["pathParameters"] = json!({"location": "nowhere"})
        });
        assert_eq!(api.send(nowhere).await.0, 404);
    }

    proptest! {
        #[test]
        fn no_request_makes_the_handler_panic_or_fail(body in any::<String>(), key in any::<String>(), query in any::<String>(), base64 in any::<bool>()) {
            let api = api();
            let block_on = |request| tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(api.send(request)).0;
            for route in ["POST /orders", "GET /orders", "GET /orders/{id}", "POST /orders/{id}/cancel", "GET /menu/{location}"] {
                let event = json!({
                    "routeKey": route, "body": body, "isBase64Encoded": base64, "headers": {"content-type": "application/json"},
                    "queryStringParameters": {"limit": query, "cursor": query}, "pathParameters": {"id": key, "location": key},
                    "requestContext": {"http": {"method": "GET"}, "authorizer": {"jwt": {"claims": {"sub": key}}}}
                });
                let status = block_on(serde_json::from_value(event).unwrap());
                prop_assert!((200..500).contains(&status), "{}", status);
            }
        }
    }
}
