//! What people do in a run: customers who order, repeat themselves and change their minds, shops
//! that bake more or less, staff that prepares, operators that repair, and somebody who sends what
//! nobody can read.

use std::{collections::HashMap, rc::Rc};

use jiff::{SignedDuration, Timestamp, ToSpan};
use notifications::{handler::Address, memory::MemoryCustomers};
use platform::http::{Request, Response};
use serde_json::{Value, json};
use shop::{
    event::{ORDERS, OrderEvent},
    id::{CustomerId, OrderId},
    order::{Status, Trigger},
    stock::BakePlan,
};
use tables::orders::{Orders, Outcome, apply_trigger};

use crate::{
    call::Port,
    function::Functions,
    port::route,
    topology::TOPOLOGY,
    world::{Outage, World},
};

const SHOPS: [&str; 3] = ["marais", "ginza", "soho"];
const ITEMS: [(&str, u64); 3] = [("croissant", 190), ("eclair", 450), ("brioche", 700)];
const CUSTOMERS: [&str; 4] = ["camille", "noor", "ren", "sam"];

/// Means of payment, those that pay most often.
const CARDS: [&str; 12] = [
    "pm_card_visa",
    "pm_card_visa",
    "pm_card_visa",
    "pm_card_visa",
    "pm_card_mastercard",
    "pm_card_chargeDeclined",
    "pm_card_chargeDeclinedInsufficientFunds",
    "pm_card_authenticationRequired",
    "pm_card_pendingRefund",
    "pm_card_refundFail",
    "pm_usBankAccount_processing",
    "pm_unknown",
];

/// An order that a customer wants.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    pub(crate) customer: CustomerId,
    pub(crate) key: String,
    pub(crate) id: OrderId,
    body: String,
    at: SignedDuration,
}

/// What the API answered to a request for an order.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) customer: CustomerId,
    pub(crate) key: String,
    pub(crate) body: String,
    pub(crate) status: i64,
    /// The order, when it was accepted.
    pub(crate) order: Option<OrderId>,
}

/// The people of a run.
pub(crate) struct Workload {
    world: Rc<World>,
    functions: Functions,
    shops: usize,
    pub(crate) wishes: Vec<Wish>,
}

/// All customers; the last has no address.
pub(crate) fn customers() -> MemoryCustomers {
    let reachable = &CUSTOMERS[..CUSTOMERS.len() - 1];
    let address =
        |name: &&str| (CustomerId::new(*name), Address::new(format!("{name}@example.com")));
    MemoryCustomers(reachable.iter().map(address).collect::<HashMap<_, _>>())
}

impl Workload {
    /// Opens shops, and lets everybody begin.
    pub(crate) fn begin(world: &Rc<World>, functions: &Functions) -> Self {
        let luck = &world.luck;
        let is_large = luck.strikes(80);
        let shops = 1 + luck.below(if is_large { SHOPS.len() } else { 2 });
        let orders = if is_large { luck.between(10, 24) } else { luck.between(2, 7) };
        let mut this =
            Self { world: world.clone(), functions: functions.clone(), shops, wishes: Vec::new() };
        for shop in &SHOPS[..shops] {
            world.intake_tables.load(this.menu(shop, 0));
            this.bake(shop);
        }
        // In some runs all come at once, in others over a quarter of an hour.
        let rush = luck.wait(SignedDuration::from_mins(15));
        for number in 0..orders {
            let wish = this.wish(number, rush);
            world.story.name(wish.id, format!("order-{number}"));
            this.wishes.push(wish);
        }
        for wish in &this.wishes {
            this.order(wish);
        }
        this.others();
        this
    }

    fn menu(&self, shop: &str, dearer: u64) -> shop::menu::Menu {
        let all_day = json!([{"from": "00:00", "to": "23:59"}]);
        let items =
            ITEMS.map(|(sku, price)| json!({"sku": sku, "name": sku, "price": price + dearer}));
        let menu = json!({
            "location": shop, "name": shop, "items": items,
            "time_zone": if shop == "ginza" { "Asia/Tokyo" } else { "Europe/Paris" },
            "currency": if shop == "ginza" { "JPY" } else { "EUR" },
            "opening_hours": {
                "monday": all_day, "tuesday": all_day, "wednesday": all_day, "thursday": all_day,
                "friday": all_day, "saturday": all_day, "sunday": all_day,
            },
        });
        serde_json::from_value(menu).expect("a menu")
    }

    /// Decides what a shop bakes a day: little, and not everything.
    fn bake(&self, shop: &str) {
        let luck = &self.world.luck;
        let baked = ITEMS.iter().filter(|_| !luck.strikes(100));
        let capacity = baked.map(|(sku, _)| {
            (sku.parse().expect("a name"), u32::try_from(luck.between(0, 9)).unwrap_or(0))
        });
        let (plan, shop) = (
            BakePlan { capacity: capacity.collect() },
            shop.parse::<shop::id::LocationId>().expect("a name"),
        );
        self.world.tell(shop.as_str(), || format!("bakes {:?}", plan.capacity));
        self.world.witness.borrow_mut().baking(self.world.now(), shop.clone(), plan.clone());
        self.world.stock.bake(shop, plan);
    }

    fn wish(&self, number: i64, rush: SignedDuration) -> Wish {
        let luck = &self.world.luck;
        let lines: Vec<_> = (0..luck.between(1, 3))
            .map(|_| json!({"item": luck.one_of(&ITEMS).0, "quantity": luck.between(1, 2)}))
            .collect();
        let mut body = json!({
            "location": luck.one_of(&SHOPS[..self.shops]), "lines": lines, "payment_method": luck.one_of(&CARDS),
        });
        if luck.strikes(200) {
            body["pickup_at"] = json!(self.world.now() + 24.hours());
        }
        let customer = CustomerId::new(*luck.one_of(&CUSTOMERS));
        let key = format!("key-{number}");
        let id = OrderId::derive(&customer, &key.parse().expect("a key"));
        let at = SignedDuration::from_millis(
            luck.between(0, i64::try_from(rush.as_millis()).unwrap_or(0)),
        );
        Wish { customer, key, id, body: body.to_string(), at }
    }

    /// Everything that happens around one order.
    fn order(&self, wish: &Wish) {
        let (world, luck) = (&self.world, &self.world.luck);
        let start = world.now() + wish.at;
        let soon = || SignedDuration::from_secs(luck.between(0, 20 * 60));
        self.customer(wish, &wish.body, start);
        if luck.strikes(200) {
            // Somebody who cannot wait.
            self.customer(wish, &wish.body, start + luck.wait(SignedDuration::from_secs(30)));
        }
        if luck.strikes(100) {
            let other = wish.body.replacen("\"quantity\":1", "\"quantity\":3", 1).replacen(
                "\"quantity\":2",
                "\"quantity\":1",
                1,
            );
            self.customer(wish, &other, start + luck.wait(SignedDuration::from_secs(30)));
        }
        if luck.strikes(250) {
            // At once, or when the charge is under way, or long after.
            let after =
                if luck.strikes(500) { luck.wait(SignedDuration::from_mins(5)) } else { soon() };
            self.cancels(wish, start + after);
        }
        if luck.strikes(400) {
            let mut steps =
                vec![Trigger::PreparationStarted, Trigger::PreparationFinished, Trigger::PickedUp];
            steps.truncate(1 + luck.below(steps.len()));
            self.moves(wish.id, start + soon(), steps);
        }
    }

    /// A customer sends a request until they have an answer, or enough.
    fn customer(&self, wish: &Wish, body: &str, at: Timestamp) {
        let (world, functions, wish, body) =
            (self.world.clone(), self.functions.clone(), wish.clone(), body.to_owned());
        let patience = world.luck.between(1, 5);
        self.world.spawn_person(wish.customer.as_str().to_owned(), async move {
            world.sleep_until(at).await;
            for _ in 0..patience {
                if post(&world, &functions, &wish, &body).await {
                    return;
                }
                world.sleep(world.luck.wait(SignedDuration::from_secs(60))).await;
            }
        });
    }

    /// A customer calls an order off, until there is an answer or it is enough.
    fn cancels(&self, wish: &Wish, at: Timestamp) {
        let (world, functions, wish) = (self.world.clone(), self.functions.clone(), wish.clone());
        self.world.spawn_person(wish.customer.as_str().to_owned(), async move {
            world.sleep_until(at).await;
            for _ in 0..3 {
                if cancel(&world, &functions, &wish).await {
                    return;
                }
                world.sleep(world.luck.wait(SignedDuration::from_mins(5))).await;
            }
        });
    }

    /// The staff moves an order on, one step after the other, as far as that goes.
    fn moves(&self, order: OrderId, at: Timestamp, steps: Vec<Trigger>) {
        let (world, functions) = (self.world.clone(), self.functions.clone());
        self.world.spawn_person("staff", async move {
            world.sleep_until(at).await;
            for step in steps {
                for _ in 0..3 {
                    let (orders, step, now) =
                        (functions.orders().clone(), step.clone(), world.now());
                    let moved = world.invoke("OrderIntake", async move {
                        move_on(&orders, order, &step, now).await
                    });
                    if moved.await == Some(true) {
                        break;
                    }
                    world.sleep(world.luck.wait(SignedDuration::from_mins(5))).await;
                }
                world.sleep(SignedDuration::from_secs(world.luck.between(0, 10 * 60))).await;
            }
        });
    }

    fn others(&self) {
        let (world, luck) = (&self.world, &self.world.luck);
        let hour = SignedDuration::from_hours(1);
        for shop in &SHOPS[..self.shops] {
            if luck.strikes(400) {
                self.at(luck.wait(hour), move |this| this.bake(shop));
            }
            if luck.strikes(200) {
                self.at(luck.wait(hour), move |this| {
                    this.world.intake_tables.load(this.menu(shop, 100))
                });
            }
        }
        for (index, queue) in TOPOLOGY.queues.iter().enumerate() {
            if luck.strikes(40) {
                let body = luck
                    .one_of(&["{", "", "{\"detail-type\":\"order.placed\"}", "[1,2]"])
                    .to_string();
                self.at(luck.wait(hour), move |this| {
                    this.world.tell(&queue.id, || format!("poison: {body}"));
                    let queues = &mut this.world.queues.borrow_mut();
                    queues.poison(index, &body.as_str().into(), &this.world);
                    this.world.witness.borrow_mut().poison.messages.push((index, body.clone()));
                });
            }
        }
        if luck.strikes(100) {
            let shard = luck.below(2);
            self.at(luck.wait(hour), move |this| {
                let record = this
                    .world
                    .stream
                    .borrow_mut()
                    .poison(shard, json!({"order_id": "?", "total": "much"}));
                this.world.witness.borrow_mut().poison.records.insert(record);
            });
        }
        // Whatever is behind a port may be down for a while.
        let ports = [
            Port::Orders,
            Port::Stock,
            Port::Payments,
            Port::Provider,
            Port::Notices,
            Port::Customers,
            Port::Mailer,
            Port::Bus,
        ];
        if luck.strikes(250) && luck.odds().fails > 0 {
            let from = world.now() + luck.wait(SignedDuration::from_mins(20));
            world.suffer(Outage {
                port: *luck.one_of(&ports),
                from,
                to: from + luck.wait(SignedDuration::from_hours(6)),
            });
        }
        self.operators();
    }

    /// Operators redrive what died, after hours or days, and announce orders again; meanwhile the
    /// provider forgets.
    fn operators(&self) {
        let luck = &self.world.luck;
        let day = SignedDuration::from_hours(24);
        if luck.strikes(300) {
            // Messages live for 14 days, and for another 14 once they were redriven.
            let first = luck.wait(day * 13);
            for after in [first, first + luck.wait(day * 13)] {
                self.at(after, |this| {
                    this.world.queues.borrow_mut().redrive(&this.world);
                });
            }
        }
        for _ in 0..luck.below(4) {
            self.at(luck.wait(day * 2), |this| this.world.provider.forget_keys());
        }
        if luck.strikes(150) {
            let wish = luck.below(self.wishes.len());
            let order = self.wishes[wish].id;
            self.at(luck.wait(day), move |this| {
                if let Some(event) = this.world.order(order).and_then(OrderEvent::latest) {
                    this.world.tell("operator", || format!("announces {order}"));
                    route(
                        &this.world,
                        ORDERS,
                        &serde_json::to_value(event).expect("an event is JSON"),
                    );
                }
            });
        }
    }

    /// Somebody does something after a while.
    fn at(&self, after: SignedDuration, work: impl FnOnce(&Self) + 'static) {
        let this = Self {
            world: self.world.clone(),
            functions: self.functions.clone(),
            shops: self.shops,
            wishes: Vec::new(),
        };
        self.world.spawn_person("somebody", async move {
            this.world.sleep(after).await;
            work(&this);
        });
    }

    /// Everybody asks once more for what they asked for before.
    pub(crate) fn ask_again(&self) {
        for wish in &self.wishes {
            self.customer(wish, &wish.body, self.world.now());
        }
    }
}

/// Whether there is an answer that says how it went.
async fn post(world: &Rc<World>, functions: &Functions, wish: &Wish, body: &str) -> bool {
    world.tell(wish.customer.as_str(), || format!("POST /orders {} {body}", wish.id));
    let Some(response) = functions.ask(request(wish, body)).await else {
        return false;
    };
    let status = response.status_code;
    world.tell(wish.customer.as_str(), || format!("{status} for {}", wish.id));
    let order = (status == 202).then(|| placed(&response));
    let (customer, key, body) = (wish.customer.clone(), wish.key.clone(), body.to_owned());
    world.witness.borrow_mut().answers.push(Answer { customer, key, body, status, order });
    status < 500
}

/// Whether there is an answer that says how it went; there is none while there is no order.
async fn cancel(world: &Rc<World>, functions: &Functions, wish: &Wish) -> bool {
    world.tell(wish.customer.as_str(), || format!("POST /orders/{}/cancel", wish.id));
    let Some(response) = functions.ask(cancellation(wish)).await else {
        return false;
    };
    let status = response.status_code;
    world.tell(wish.customer.as_str(), || format!("{status} for cancelling {}", wish.id));
    if status == 200 {
        world.witness.borrow_mut().cancelled.push(wish.id);
    }
    matches!(status, 200 | 409)
}

fn request(wish: &Wish, body: &str) -> Request {
    let mut request = by(wish, "POST /orders");
    request["headers"] = json!({"content-type": "application/json", "idempotency-key": wish.key});
    request["body"] = json!(body);
    serde_json::from_value(request).expect("a request")
}

fn cancellation(wish: &Wish) -> Request {
    let mut request = by(wish, "POST /orders/{id}/cancel");
    request["pathParameters"] = json!({"id": wish.id});
    serde_json::from_value(request).expect("a request")
}

/// A customer's request, as the gateway hands it on.
fn by(wish: &Wish, route: &str) -> Value {
    json!({
        "version": "2.0", "routeKey": route, "rawPath": "/", "headers": {}, "isBase64Encoded": false,
        "requestContext": {
            "http": {"method": "POST", "path": "/"},
            "authorizer": {"jwt": {"claims": {"sub": wish.customer}, "scopes": null}},
        },
    })
}

/// The order of an answer.
fn placed(response: &Response) -> OrderId {
    let aws_lambda_events::encodings::Body::Text(body) = response.body.as_ref().expect("a body")
    else {
        panic!("an answer that is no text");
    };
    let body: Value = serde_json::from_str(body).expect("an answer in JSON");
    serde_json::from_value(body["order_id"].clone()).expect("an order's id")
}

/// Takes an order one step on; false when that does not work out (yet).
async fn move_on(orders: &impl Orders, id: OrderId, step: &Trigger, now: Timestamp) -> bool {
    let Ok(Some(order)) = orders.get(id).await else { return false };
    match apply_trigger(orders, order, step, None, now).await {
        Ok(Outcome::Changed(_)) => true,
        Ok(Outcome::Unchanged(order)) => {
            order.status.ended_early() || order.status == Status::Collected
        }
        Err(_) => false,
    }
}
