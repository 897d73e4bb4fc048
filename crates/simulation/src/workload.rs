//! What people do in a run: customers order, repeat themselves and change their minds; shops change
//! plans and prices; staff prepare and hand over; operators repair; and something sends what no
//! function can read.

pub(crate) mod api;

use std::rc::Rc;

use jiff::{SignedDuration, Timestamp};
use notifications::{
    handler::{Address, Contact},
    memory::MemoryCustomers,
};
use serde_json::json;
use shop::{
    dispute::DisputeState,
    event::{ORDERS, OrderEvent},
    id::{CustomerId, LocationId, OrderId},
    menu::Menu,
    order::{Order, Status, Trigger},
    payment::IntentId,
    refund::RefundState,
    stock::BakePlan,
};
use stripe::IntentStatus;
use tables::orders::{Orders, Outcome, apply_trigger};

use self::api::Wish;
use crate::{
    engine::calls::{Outage, Port, Trouble},
    functions::Functions,
    observation::{Observation, Opening},
    ports::route,
    transport::{
        message::{Content, QueuedMessage},
        topology::TOPOLOGY,
    },
    world::{Shortage, World},
};

/// Shops, and by how many minutes their clocks are ahead of UTC.
const SHOPS: [(&str, i64); 3] = [("marais", 60), ("ginza", 9 * 60), ("soho", 60)];
const ITEMS: [(&str, u64); 3] = [("croissant", 190), ("eclair", 450), ("brioche", 700)];
pub(crate) const CUSTOMERS: [&str; 5] = ["camille", "noor", "ren", "sam", "tess"];

/// Payment methods, of which most work.
const CARDS: [&str; 14] = [
    "pm_card_visa",
    "pm_card_visa",
    "pm_card_visa",
    "pm_card_visa",
    "pm_card_mastercard",
    "pm_card_chargeDeclined",
    "pm_card_chargeDeclinedInsufficientFunds",
    "pm_card_authenticationRequired",
    "pm_card_authenticationRequired",
    "pm_card_authenticationRequiredChargeDeclinedInsufficientFunds",
    "pm_card_pendingRefund",
    "pm_card_refundFail",
    "pm_usBankAccount_processing",
    "pm_unknown",
];

/// What can be down for a while.
const FRAGILE: [Port; 8] = [
    Port::Orders,
    Port::Stock,
    Port::Payments,
    Port::Provider,
    Port::Notices,
    Port::Customers,
    Port::Mailer,
    Port::Bus,
];

const MINUTES_A_DAY: i64 = 24 * 60;
const HOUR: SignedDuration = SignedDuration::from_hours(1);
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// The longest outage. Together with the waits of the stream it must stay below the age at which
/// the stream skips a record.
const LONGEST_OUTAGE: SignedDuration = SignedDuration::from_hours(6);

/// The longest time in which concurrency is short. A message that is received again every minute
/// then still has more than half of its receives.
const LONGEST_SHORTAGE: SignedDuration = SignedDuration::from_mins(5);

/// The longest time between two redrives: three days less than a dead letter lives, since a notice
/// is retried for two days and a half before it becomes one.
const REDRIVE_INTERVAL: SignedDuration = SignedDuration::from_hours(11 * 24);

/// The people of a run.
#[derive(Clone)]
pub(crate) struct Workload {
    world: Rc<World>,
    functions: Functions,
    shops: Vec<Shop>,
    wishes: Vec<Wish>,
}

/// A shop of a run.
#[derive(Clone, Copy)]
pub(crate) struct Shop {
    pub(crate) name: &'static str,
    opening: Opening,
}

impl Shop {
    /// Opens a shop that never closes, and whose croissants never run out.
    pub(crate) fn always_open(world: &World) -> Self {
        let (name, ahead) = SHOPS[0];
        let shop = Self { name, opening: Opening { ahead, from: 0, to: MINUTES_A_DAY, lead: 1 } };
        world.intake_tables.load(menu(shop, 0));
        let baked = ("croissant".parse().expect("a name"), u32::MAX);
        let plan = BakePlan { capacity: [baked].into() };
        let location: LocationId = name.parse().expect("a name");
        let opening = shop.opening;
        world.log.add(Observation::ShopOpened { location: location.clone(), opening });
        let (at, baked) = (world.now(), plan.clone());
        world.log.add(Observation::PlanChanged { at, location: location.clone(), plan: baked });
        world.stock.bake(location, plan);
        shop
    }
}

/// A croissant for a customer who can be reached.
pub(crate) fn croissant(number: i32, shop: Shop, card: &str, pickup_at: Timestamp) -> Wish {
    let customer = CustomerId::new(CUSTOMERS[0]);
    let key = format!("key-{number}");
    let lines = json!([{"item": "croissant", "quantity": 1}]);
    let body = json!({
        "location": shop.name, "lines": lines, "payment_method": card, "pickup_at": pickup_at,
    });
    Wish {
        id: OrderId::derive(&customer, &key.parse().expect("a key")),
        customer,
        key,
        body: body.to_string(),
        at: SignedDuration::ZERO,
    }
}

/// All customers. Sam has no address, and Tess has not confirmed hers.
pub(crate) fn customers() -> MemoryCustomers {
    let contact = |name: &str| match name {
        "sam" => Contact::None,
        "tess" => Contact::Unverified,
        name => Contact::Verified(Address::new(format!("{name}@example.com"))),
    };
    MemoryCustomers(CUSTOMERS.map(|name| (CustomerId::new(name), contact(name))).into())
}

impl Workload {
    /// Opens shops, and starts what everybody does.
    pub(crate) fn start(world: &Rc<World>, functions: &Functions) -> Self {
        let luck = &world.core.luck;
        let is_large = luck.chance(80);
        let shops = 1 + luck.below(if is_large { SHOPS.len() } else { 2 });
        let orders = if is_large { luck.between(10, 24) } else { luck.between(2, 7) };
        let mut this = Self {
            world: world.clone(),
            functions: functions.clone(),
            shops: Vec::new(),
            wishes: Vec::new(),
        };
        for (name, ahead) in &SHOPS[..shops] {
            this.open_shop(name, *ahead);
        }
        // In some runs all orders are placed at once, in others over a quarter of an hour.
        let rush = luck.wait(SignedDuration::from_mins(15));
        for number in 0..orders {
            let wish = this.draw_wish(number, rush);
            world.core.trace.name(wish.id, format!("order-{number}"));
            this.wishes.push(wish);
        }
        for wish in &this.wishes {
            this.start_order(wish);
        }
        this.start_shops();
        this.start_poison();
        this.start_outages_and_repairs();
        this.start_refusals();
        this.start_foreign_events();
        this
    }

    /// Every customer asks once more for every order.
    pub(crate) fn ask_again(&self) {
        for wish in &self.wishes {
            self.customer_places(wish, &wish.body, self.world.now());
        }
    }

    /// Operators publish the latest event of every order once more.
    pub(crate) fn announce_again(&self) {
        for wish in &self.wishes {
            self.announce(wish.id);
        }
    }

    /// Operators erase the data of one customer, whose orders have ended as far as they will.
    pub(crate) fn erase_a_customer(&self) {
        let Some(wish) = self.wishes.first() else { return };
        let (world, functions, customer) =
            (self.world.clone(), self.functions.clone(), wish.customer.clone());
        self.world.core.start_person("operator", async move {
            let theirs = |order: &Order| order.customer_id == customer;
            let orders: Vec<_> =
                world.orders.rows().values().filter(|order| theirs(order)).cloned().collect();
            for order in orders {
                world.core.trace("operator", || format!("erases {}", order.order_id));
                let (orders, now) = (functions.orders_table(), world.now());
                let erased =
                    apply_trigger(orders, order, &Trigger::ErasureRequested, None, now).await;
                erased.expect("nothing fails any more");
            }
        });
    }

    /// Customers try to cancel orders long after they could have picked them up.
    pub(crate) fn cancel_late(&self) {
        for wish in self.wishes.iter().step_by(2) {
            self.customer_cancels(wish, self.world.now());
        }
    }

    /// Opens a shop. Most never close; others open or close while orders are placed, and may stay
    /// open past midnight.
    fn open_shop(&mut self, name: &'static str, ahead: i64) {
        let (world, luck) = (&self.world, &self.world.core.luck);
        let (from, to) = if luck.chance(700) {
            (0, MINUTES_A_DAY)
        } else {
            let minute = (world.now().as_second() / 60 + ahead) % MINUTES_A_DAY;
            let from = minute + luck.between(-120, 30);
            (from, from + luck.between(20, 1000))
        };
        let opening = Opening { ahead, from, to, lead: *luck.pick(&[1, 5, 15, 60, 60, 60]) };
        let shop = Shop { name, opening };
        world.core.trace(name, || format!("{opening:?}"));
        let location = name.parse().expect("a name");
        world.log.add(Observation::ShopOpened { location, opening });
        world.intake_tables.load(menu(shop, 0));
        self.shops.push(shop);
        self.change_plan(name);
    }

    /// Changes what a shop bakes a day: little, and not everything.
    fn change_plan(&self, shop: &str) {
        let (world, luck) = (&self.world, &self.world.core.luck);
        let baked = ITEMS.iter().filter(|_| !luck.chance(100));
        let capacity = baked.map(|(sku, _)| {
            (sku.parse().expect("a name"), u32::try_from(luck.between(0, 9)).unwrap_or(0))
        });
        let plan = BakePlan { capacity: capacity.collect() };
        let location: LocationId = shop.parse().expect("a name");
        world.core.trace(shop, || format!("bakes {:?}", plan.capacity));
        world.log.add(Observation::PlanChanged {
            at: world.now(),
            location: location.clone(),
            plan: plan.clone(),
        });
        world.stock.bake(location, plan);
    }

    fn draw_wish(&self, number: i64, rush: SignedDuration) -> Wish {
        let luck = &self.world.core.luck;
        let lines: Vec<_> = (0..luck.between(1, 3))
            .map(|_| json!({"item": luck.pick(&ITEMS).0, "quantity": luck.between(1, 2)}))
            .collect();
        let mut body = json!({
            "location": luck.pick(&self.shops).name,
            "lines": lines,
            "payment_method": luck.pick(&CARDS),
        });
        if luck.chance(200) {
            let wait = if luck.chance(500) { DAY } else { luck.time(HOUR * 2) };
            body["pickup_at"] = json!(self.world.now() + wait);
        }
        let customer = CustomerId::new(*luck.pick(&CUSTOMERS));
        let key = format!("key-{number}");
        let id = OrderId::derive(&customer, &key.parse().expect("a key"));
        Wish { customer, key, id, body: body.to_string(), at: luck.time(rush) }
    }

    /// Starts everything that is done about one order.
    fn start_order(&self, wish: &Wish) {
        let (world, luck) = (&self.world, &self.world.core.luck);
        let start = world.now() + wish.at;
        let soon = || luck.time(SignedDuration::from_mins(20));
        let at_once = || luck.wait(SignedDuration::from_secs(30));
        self.customer_places(wish, &wish.body, start);
        if luck.chance(200) {
            // An impatient customer.
            self.customer_places(wish, &wish.body, start + at_once());
        }
        if luck.chance(100) {
            // The key is used for another order.
            let other = wish.body.replacen("\"quantity\":1", "\"quantity\":3", 1).replacen(
                "\"quantity\":2",
                "\"quantity\":1",
                1,
            );
            self.customer_places(wish, &other, start + at_once());
        }
        if wish.body.contains("authenticationRequired") {
            self.customer_authenticates(wish, start);
        }
        if luck.chance(250) {
            // At once, while the charge is under way, or long after.
            let after =
                if luck.chance(500) { luck.wait(SignedDuration::from_mins(5)) } else { soon() };
            self.customer_cancels(wish, start + after);
        }
        if luck.chance(200) {
            self.customer_cancels_late(wish, start + at_once());
        }
        if luck.chance(400) {
            let mut steps =
                vec![Trigger::PreparationStarted, Trigger::PreparationFinished, Trigger::PickedUp];
            steps.truncate(1 + luck.below(steps.len()));
            self.staff_prepares(wish.id, start + soon(), steps);
        }
        if luck.chance(100) {
            let days = SignedDuration::from_hours(6 * 24);
            let after = if luck.chance(800) { soon() } else { luck.wait(days) };
            let reason = "the oven is broken".parse().expect("a reason");
            self.staff_prepares(wish.id, start + after, vec![Trigger::CancelledByShop(reason)]);
        }
        if luck.chance(100) {
            self.customer_disputes(wish.id, start + soon());
        }
        if luck.chance(150) {
            self.bank_sends_back(wish.id, start + luck.wait(DAY * 10));
        }
        if luck.chance(200) {
            // One of the staff, or two at the same time.
            let at = start + soon();
            for _ in 0..luck.between(1, 2) {
                self.staff_refunds(wish.id, at + at_once());
            }
        }
    }

    /// A customer sends a request until the response is final, or gives up.
    fn customer_places(&self, wish: &Wish, body: &str, at: Timestamp) {
        let (world, functions, wish, body) =
            (self.world.clone(), self.functions.clone(), wish.clone(), body.to_owned());
        let attempts = world.core.luck.between(1, 5);
        self.world.core.start_person(wish.customer.as_str().to_owned(), async move {
            world.calls.sleep_until(at).await;
            for _ in 0..attempts {
                if api::place(&world, &functions, &wish, &body).await {
                    return;
                }
                let pause = world.core.luck.wait(SignedDuration::from_secs(60));
                world.calls.sleep(pause).await;
            }
        });
    }

    /// A customer looks at an order until it shows where to authenticate, and goes there: at once,
    /// after minutes, or long after the order has expired. Some fail, and some leave.
    fn customer_authenticates(&self, wish: &Wish, from: Timestamp) {
        let (world, wish) = (self.world.clone(), wish.clone());
        self.world.core.start_person(wish.customer.as_str().to_owned(), async move {
            let luck = &world.core.luck;
            world.calls.sleep_until(from).await;
            for _ in 0..30 {
                let page = world.order(wish.id).and_then(|order| order.authentication_url);
                let intent = page.as_ref().and_then(|page| page.expose().rsplit('/').next());
                if let Some(intent) = intent.map(IntentId::new) {
                    let times = [SignedDuration::from_secs(30), SignedDuration::from_mins(5), HOUR];
                    world.calls.sleep(luck.wait(*luck.pick(&times))).await;
                    if !luck.chance(150) {
                        world.provider.authenticate(&intent, luck.chance(800));
                    }
                    return;
                }
                world.calls.sleep(luck.time(SignedDuration::from_mins(1))).await;
            }
        });
    }

    /// A customer cancels an order until the response is final, or gives up.
    fn customer_cancels(&self, wish: &Wish, at: Timestamp) {
        let (world, functions, wish) = (self.world.clone(), self.functions.clone(), wish.clone());
        self.world.core.start_person(wish.customer.as_str().to_owned(), async move {
            world.calls.sleep_until(at).await;
            for _ in 0..3 {
                if api::cancel(&world, &functions, &wish).await {
                    return;
                }
                let pause = world.core.luck.wait(SignedDuration::from_mins(5));
                world.calls.sleep(pause).await;
            }
        });
    }

    /// A customer who has placed an order by `at` cancels it around its pickup time.
    fn customer_cancels_late(&self, wish: &Wish, at: Timestamp) {
        let this = self.clone();
        let wish = wish.clone();
        self.world.core.start_person(wish.customer.as_str().to_owned(), async move {
            let world = &this.world;
            world.calls.sleep_until(at).await;
            if let Some(order) = world.order(wish.id) {
                let luck = &world.core.luck;
                let early = luck.wait(SignedDuration::from_secs(10));
                let late = if luck.chance(500) { luck.wait(DAY) } else { SignedDuration::ZERO };
                this.customer_cancels(&wish, order.pickup_at - early + late);
            }
        });
    }

    /// Staff take an order through `steps`, as far as that is possible.
    fn staff_prepares(&self, order: OrderId, at: Timestamp, steps: Vec<Trigger>) {
        let (world, functions) = (self.world.clone(), self.functions.clone());
        self.world.core.start_person("staff", async move {
            let luck = &world.core.luck;
            world.calls.sleep_until(at).await;
            for step in steps {
                for _ in 0..3 {
                    let (orders, step, now) =
                        (functions.orders_table().clone(), step.clone(), world.now());
                    let moved = world.invoke("OrderIntake", async move {
                        move_on(&orders, order, &step, now).await
                    });
                    if moved.await == Some(true) {
                        break;
                    }
                    world.calls.sleep(luck.wait(SignedDuration::from_mins(5))).await;
                }
                world.calls.sleep(luck.time(SignedDuration::from_mins(10))).await;
            }
        });
    }

    /// Staff give a part of an order back, or what is left of it, once it is paid, or try again
    /// what has failed.
    fn staff_refunds(&self, order: OrderId, at: Timestamp) {
        let (world, functions) = (self.world.clone(), self.functions.clone());
        self.world.core.start_person("staff", async move {
            let luck = &world.core.luck;
            world.calls.sleep_until(at).await;
            for _ in 0..3 {
                let Some(row) = world.order(order) else { return };
                if let Some(refund) = draw_refund(&world, &row) {
                    let (orders, now) = (functions.orders_table().clone(), world.now());
                    let asked = world.invoke("OrderIntake", async move {
                        move_on(&orders, order, &refund, now).await
                    });
                    if asked.await == Some(true) {
                        return;
                    }
                }
                world.calls.sleep(luck.wait(SignedDuration::from_mins(5))).await;
            }
        });
    }

    /// A customer disputes the payment of an order, and their bank decides that within weeks: at
    /// once, after it has only asked, or not at all.
    fn customer_disputes(&self, order: OrderId, at: Timestamp) {
        let world = self.world.clone();
        self.world.core.start_person("bank", async move {
            use DisputeState::{Closed, Inquiry, Lost, Open, Won};
            let luck = &world.core.luck;
            world.calls.sleep_until(at).await;
            let Some(intent) = charged(&world, order) else { return };
            let ways: [&[DisputeState]; 5] = [
                &[Open, Won],
                &[Open, Lost],
                &[Inquiry, Closed],
                &[Inquiry, Open, Won],
                &[Inquiry, Open, Lost],
            ];
            for state in *luck.pick(&ways) {
                if !world.provider.dispute(&intent, *state) {
                    // The money has gone back meanwhile.
                    if world.provider.dispute(&intent, Closed) {
                        provider_tells(&world, &intent);
                    }
                    return;
                }
                let name = intent.as_str();
                world.core.trace("bank", || format!("the dispute of {name} is {state:?}"));
                provider_tells(&world, &intent);
                world.calls.sleep(luck.wait(DAY * 20)).await;
            }
        });
    }

    /// A bank sends back what was refunded of an order, days later.
    fn bank_sends_back(&self, order: OrderId, at: Timestamp) {
        let world = self.world.clone();
        self.world.core.start_person("bank", async move {
            world.calls.sleep_until(at).await;
            let Some(intent) = charged(&world, order) else { return };
            if world.provider.send_back(&intent) {
                let name = intent.as_str();
                world.core.trace("bank", || format!("sends the refunds of {name} back"));
                provider_tells(&world, &intent);
            }
        });
    }

    /// The provider tells of intents of others, or somebody pretends that it does.
    fn start_foreign_events(&self) {
        let luck = &self.world.core.luck;
        for _ in 0..luck.below(3) {
            let is_ours = luck.chance(700);
            self.after(luck.wait(DAY), move |Self { world, .. }| {
                let accounts = world.provider.accounts();
                let intent = match &accounts[..] {
                    accounts if is_ours && !accounts.is_empty() => {
                        world.core.luck.pick(accounts).intent.id.clone()
                    }
                    _ => IntentId::new("pi_of_somebody_else"),
                };
                provider_tells(world, &intent);
            });
        }
    }

    /// Shops change their plans and prices.
    fn start_shops(&self) {
        let luck = &self.world.core.luck;
        for shop in self.shops.iter().copied() {
            if luck.chance(400) {
                self.after(luck.wait(HOUR), move |this| this.change_plan(shop.name));
            }
            if luck.chance(200) {
                self.after(luck.wait(HOUR), move |this| {
                    this.world.intake_tables.load(menu(shop, 100));
                });
            }
        }
    }

    /// Something sends messages, and writes a row, that no function can read.
    fn start_poison(&self) {
        let luck = &self.world.core.luck;
        for (index, spec) in TOPOLOGY.queues.iter().enumerate() {
            if luck.chance(40) {
                let bodies = ["{", "", "{\"detail-type\":\"order.placed\"}", "[1,2]"];
                let body: Rc<str> = (*luck.pick(&bodies)).into();
                self.after(luck.wait(HOUR), move |Self { world, .. }| {
                    world.core.trace(&spec.id, || format!("poison: {body}"));
                    world.queues.send_poison(index, &body);
                    world.log.add(Observation::PoisonSent(QueuedMessage {
                        queue: &spec.id,
                        body,
                        content: Content::Poison,
                    }));
                });
            }
        }
        if luck.chance(100) {
            let shard = luck.below(2);
            self.after(luck.wait(HOUR), move |Self { world, .. }| {
                let row = json!({"order_id": "?", "total": "much"});
                let record = world.stream.append_poison(shard, row);
                world.log.add(Observation::PoisonWritten { record });
            });
        }
    }

    /// Something is down for a while, or Lambda is throttled. Operators redrive dead letters and
    /// announce orders again; meanwhile the provider forgets its idempotency keys.
    fn start_outages_and_repairs(&self) {
        let (world, luck) = (&self.world, &self.world.core.luck);
        if luck.chance(250) && luck.odds().fails > 0 {
            let from = world.now() + luck.wait(SignedDuration::from_mins(20));
            self.add_outage(*luck.pick(&FRAGILE), from, luck.wait(LONGEST_OUTAGE));
        }
        if luck.chance(250) {
            let from = world.now() + luck.wait(SignedDuration::from_mins(20));
            world.set_shortage(Shortage {
                from,
                to: from + luck.time(LONGEST_SHORTAGE),
                throttled: *luck.pick(&[300, 900, 1_000]),
            });
        }
        match luck.below(10) {
            0 => self.start_long_repair(),
            1 | 2 => {
                let first = luck.wait(REDRIVE_INTERVAL);
                self.start_redrives(&[first, first + luck.wait(REDRIVE_INTERVAL)]);
            }
            _ => {}
        }
        for _ in 0..luck.below(4) {
            self.after(luck.wait(DAY * 2), |this| this.world.provider.forget_keys());
        }
        if luck.chance(150) {
            let order = self.wishes[luck.below(self.wishes.len())].id;
            self.after(luck.wait(DAY), move |this| this.announce(order));
        }
    }

    /// For a while, the provider refuses small orders for good, because the rate of its settlement
    /// currency has changed, or all orders, in a way that nobody knows. Some refunds fail with an
    /// answer, made or not.
    fn start_refusals(&self) {
        let luck = &self.world.core.luck;
        let soon = || luck.wait(SignedDuration::from_mins(20));
        if luck.chance(150) {
            let (minimum, length) = (u64::try_from(luck.between(200, 1_500)).ok(), luck.wait(HOUR));
            self.after(soon(), move |this| {
                this.world.provider.set_minimum(minimum);
                this.after(length, |this| this.world.provider.set_minimum(None));
            });
        }
        if luck.chance(200) {
            let (times, after_work) = (1 + luck.below(3), luck.chance(500));
            self.after(soon(), move |this| {
                this.world.provider.fail_parts(u32::try_from(times).unwrap_or(1), after_work);
            });
        }
        if luck.chance(50) {
            let length = luck.wait(HOUR);
            self.after(soon(), move |this| {
                this.world.provider.misunderstand(true);
                this.after(length, |this| this.world.provider.misunderstand(false));
            });
        }
    }

    /// A table is down for hours, and down again when operators redrive the dead letters that this
    /// made. It takes weeks until everything is delivered.
    fn start_long_repair(&self) {
        let (now, luck) = (self.world.now(), &self.world.core.luck);
        let weeks = || DAY * 7 + luck.time(REDRIVE_INTERVAL - DAY * 7);
        let (soon, second) = (luck.wait(DAY), weeks());
        self.start_redrives(&[soon, second, second + weeks()]);
        if luck.odds().fails > 0 {
            let port = *luck.pick(&[Port::Stock, Port::Payments]);
            let from = now + luck.wait(SignedDuration::from_mins(20));
            self.add_outage(port, from, luck.time(LONGEST_OUTAGE));
            self.add_outage(port, now + second, luck.time(LONGEST_OUTAGE));
        }
    }

    /// Operators redrive dead letters at these times.
    fn start_redrives(&self, times: &[SignedDuration]) {
        let start = self.world.now();
        for (index, time) in times.iter().enumerate() {
            let next = times.get(index + 1).map(|next| start + *next);
            self.after(*time, move |this| this.world.queues.redrive(next));
        }
    }

    fn add_outage(&self, port: Port, from: Timestamp, length: SignedDuration) {
        let outage = Outage { port, from, to: from + length, trouble: Trouble::Fails };
        self.world.calls.add_outage(outage);
    }

    /// An operator publishes an order's latest event again.
    fn announce(&self, order: OrderId) {
        if let Some(order) = self.world.order(order) {
            announce(&self.world, order);
        }
    }

    /// Does `work` when `wait` has passed.
    fn after(&self, wait: SignedDuration, work: impl FnOnce(&Self) + 'static) {
        let this = self.clone();
        self.world.core.start_person("somebody", async move {
            this.world.calls.sleep(wait).await;
            work(&this);
        });
    }
}

/// The intent that has taken the money of an order.
fn charged(world: &World, order: OrderId) -> Option<IntentId> {
    let accounts = world.provider.accounts().into_iter();
    let mut charged = accounts.filter(|it| it.order_id == order && !it.is_open());
    charged.find(|it| it.intent.status == IntentStatus::Succeeded).map(|it| it.intent.id)
}

/// The provider tells that something has happened to an intent. If that is lost, operators find it
/// by the books within days, and have the payment looked at.
fn provider_tells(world: &Rc<World>, intent: &IntentId) {
    if !world.core.luck.chance(100) {
        tell(world, intent);
        return;
    }
    let (later, world, intent) = (world.clone(), world.clone(), intent.clone());
    later.core.start_person("operator", async move {
        world.calls.sleep(world.core.luck.wait(DAY * 3)).await;
        tell(&world, &intent);
    });
}

fn tell(world: &World, intent: &IntentId) {
    let body: Rc<str> = json!({ "intent": intent }).to_string().into();
    world.queues.send(TOPOLOGY.intents(), &body, &Content::Intent);
}

/// Publishes the event of an order again that it waits for, from its row.
pub(crate) fn announce(world: &World, order: Order) {
    let id = order.order_id;
    if let Some(event) = OrderEvent::repeated(order) {
        world.core.trace("operator", || format!("announces {id}"));
        let event = serde_json::to_value(event).expect("an event is JSON");
        route(world, ORDERS, &event);
    }
}

/// A shop's menu, with all prices raised by `rise`.
pub(crate) fn menu(Shop { name, opening }: Shop, rise: u64) -> Menu {
    let clock = |minutes: i64| format!("{:02}:{:02}", minutes / 60, minutes % 60);
    let to = if opening.to > MINUTES_A_DAY { opening.to - MINUTES_A_DAY } else { opening.to };
    let hours = json!([{"from": clock(opening.from), "to": clock(to)}]);
    let items = ITEMS.map(|(sku, price)| json!({"sku": sku, "name": sku, "price": price + rise}));
    let menu = json!({
        "location": name, "name": name, "items": items,
        "time_zone": if name == "ginza" { "Asia/Tokyo" } else { "Europe/Paris" },
        "currency": if name == "ginza" { "JPY" } else { "EUR" },
        "opening_hours": {
            "monday": hours, "tuesday": hours, "wednesday": hours, "thursday": hours,
            "friday": hours, "saturday": hours, "sunday": hours,
        },
        "lead_time_minutes": opening.lead,
    });
    let menu: Menu = serde_json::from_value(menu).expect("a menu");
    menu.validate().expect("a valid menu");
    menu
}

/// A refund that the order still allows, if any.
fn draw_refund(world: &World, order: &Order) -> Option<Trigger> {
    let luck = &world.core.luck;
    let failed = order.refunds.iter().find(|refund| refund.state == RefundState::Failed);
    if let Some(failed) = failed.filter(|_| luck.chance(700)) {
        return Some(Trigger::RefundRetried(failed.id));
    }
    let left = order.refundable();
    if left == 0 {
        return None;
    }
    let part = luck.between(1, i64::try_from(left).unwrap_or(i64::MAX)).unsigned_abs();
    let amount = if luck.chance(300) { left } else { part };
    Some(Trigger::RefundRequested { amount, reason: "burnt".parse().expect("a reason") })
}

/// Takes an order one step on. Returns whether there is nothing left to try.
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
