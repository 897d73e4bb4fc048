//! What goes wrong while orders are placed.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use aws_sdk_dynamodb::types::AttributeValue;
use fastrand::Rng;
use local::{
    Binaries, Change, Options, Running, Stack,
    sandbox::{Fault, FaultyAnswer, Route},
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, sleep_until};
use uuid::Uuid;

use super::{CONFIRM_WITHIN_SECONDS, ORDERS, Placed, customers::Wish, reconfigured};
use crate::{harness::System, process};

/// How often a function is killed.
const KILLS: u32 = 120;

/// For how long, from the first order on. What a killed function held comes again after half of
/// that, so no message is killed more often than twice, and none after its order's deadline.
const KILLING: Duration = Duration::from_secs(CONFIRM_WITHIN_SECONDS as u64);

/// How often events are copied.
const COPIES: usize = 250;

/// How often the provider gets a fault.
const FAULTS: usize = 80;

/// How long the provider fails with every request: less than a tenth of the budget.
pub(super) const OUTAGE: Duration = Duration::from_secs(20);

/// How many rows of the Orders table are no orders.
const POISON_ROWS: usize = 5;

/// The queues that feed functions. Each has `Queue` behind its name, and `DeadLetters` the one
/// beside it.
pub(super) const QUEUES: [&str; 6] = ["Results", "Deadline", "Stock", "Charge", "Refund", "Notice"];

/// The functions, by their logical ids.
pub(super) const FUNCTIONS: [&str; 6] =
    ["Inventory", "Notifications", "OrderIntake", "OrderRelay", "OrderStatus", "Payment"];

/// The queues that an event is for.
fn queues_of(event: &Value) -> &'static [&'static str] {
    match event["detail-type"].as_str().unwrap() {
        "order.placed" => &["Stock", "Deadline"],
        "order.reserved" => &["Charge"],
        "order.rejected" | "order.cancelled" | "order.expired" => &["Stock", "Refund", "Notice"],
        "order.confirmed" | "order.payment_changed" => &["Notice"],
        _ => &["Results"],
    }
}

/// Waits for the `part`th of so many `parts` of all orders to be placed.
async fn reach(placed: &mut Placed, part: usize, parts: usize) {
    placed.wait_for(|placed| placed * parts >= ORDERS * part).await.unwrap();
}

/// Kills functions, either one process or all that run the function, and returns how many processes
/// that were.
///
/// None is spared: the embedded AWS keeps what a killed function was given. A batch of the stream
/// comes again at once, one of a queue when its messages' time-out is over, and a customer gets a
/// 502.
pub(super) async fn kills(options: &Options, mut random: Rng) -> usize {
    let mut killed = 0;
    let start = Instant::now();
    for kill in 1..=KILLS {
        sleep_until(start + KILLING / KILLS * kill).await;
        let mut running = process::family(std::process::id()).await;
        running.retain(|process| process.is_function(&options.state_dir));
        let functions: BTreeSet<String> =
            running.iter().map(|process| process.command.clone()).collect();
        let Some(function) = random.choice(functions) else { continue };
        running.retain(|process| process.command == function);
        let victims = if random.bool() {
            &running[..]
        } else {
            &running[random.usize(..running.len())..][..1]
        };
        for victim in victims {
            killed += usize::from(process::kill("-KILL", victim.id).await);
        }
    }
    killed
}

/// How often events were repeated.
#[derive(Clone, Copy, Default)]
pub(super) struct Copies {
    /// Published once more.
    pub(super) published: usize,
    /// Sent to a queue once more.
    pub(super) sent: usize,
}

/// Repeats events that have passed the bus: in any order, early (a deadline at once) and late, on
/// the bus or to a single queue.
pub(super) async fn copies(system: &System, mut placed: Placed, mut random: Rng) -> Copies {
    let mut recorder = system.stack.events().unwrap();
    let mut events = Vec::new();
    let mut copies = Copies::default();
    for copy in 1..COPIES {
        reach(&mut placed, copy, COPIES).await;
        events.extend(recorder.recorded().unwrap());
        if events.is_empty() {
            continue;
        }
        let repeated: Vec<Value> = (0..random.usize(1..=6))
            .map(|_| events[random.usize(..events.len())].clone())
            .collect();
        if random.bool() {
            system.publish_again(&repeated).await;
            copies.published += repeated.len();
            continue;
        }
        for event in repeated {
            let queues = queues_of(&event);
            let queue =
                system.queue(&format!("{}Queue", queues[random.usize(..queues.len())])).await;
            queue.send_later(&[event.to_string()], [0, 0, 3, 20][random.usize(..4)]).await;
            copies.sent += 1;
        }
    }
    copies
}

/// Makes the provider slow, fail, lose its answers and forget its keys now and then. Returns how
/// often.
pub(super) async fn faults(system: &System, mut placed: Placed, mut random: Rng) -> usize {
    use FaultyAnswer::{Fail, FailAfterWork, Lose, Normal};
    // Longer than the client waits, and not so long.
    let (too_slow, slow) = (6_000, 1_500);
    for fault in 1..FAULTS {
        reach(&mut placed, fault, FAULTS).await;
        let routes = [
            Route::Create,
            Route::Create,
            Route::Confirm,
            Route::Confirm,
            Route::Retrieve,
            Route::Cancel,
            Route::Refund,
        ];
        let (answer, delay_ms) = match random.u8(..8) {
            0 => (Fail(500), 0),
            1 => (Fail(429), 0),
            2 => (FailAfterWork(500), 0),
            3 | 4 => (Lose, 0),
            5 | 6 => (Normal, slow),
            _ => (Normal, too_slow),
        };
        let fault = Fault {
            route: random.choice(routes),
            times: Some(random.u32(1..=2)),
            answer,
            delay_ms,
            ..Fault::default()
        };
        system.provider.set_fault(&fault).await.unwrap();
        if random.u8(..20) == 0 {
            system.provider.forget_keys().await.unwrap();
        }
    }
    FAULTS - 1
}

/// Makes the provider fail with everything for a while. With the hopeless it does so for ever.
pub(super) async fn outage(system: &System, wishes: &[Wish<'_>], mut placed: Placed) {
    reach(&mut placed, 1, 4).await;
    let down = Fault { answer: FaultyAnswer::Fail(503), ..Fault::default() };
    system.provider.set_fault(&down).await.unwrap();
    sleep(OUTAGE).await;
    system.provider.clear_faults().await.unwrap();
    for wish in wishes.iter().filter(|wish| wish.is_hopeless()) {
        wish.has_trouble(system).await;
    }
}

/// What nobody can read.
#[derive(Default)]
pub(super) struct Poison {
    /// By the queue that it was sent to.
    pub(super) records: BTreeMap<&'static str, Vec<String>>,
    /// The keys of what is no order in the Orders table.
    pub(super) rows: BTreeSet<String>,
}

impl Poison {
    pub(super) fn count(&self) -> usize {
        self.records.values().map(Vec::len).sum::<usize>() + self.rows.len()
    }
}

/// Mixes poison into every queue and into the stream.
pub(super) async fn poison(system: &System, mut placed: Placed, mut random: Rng) -> Poison {
    let records = QUEUES
        .into_iter()
        .flat_map(|queue| poison_for(queue).into_iter().map(move |record| Some((queue, record))));
    let mut doses: Vec<_> = records.chain([const { None }; POISON_ROWS]).collect();
    random.shuffle(&mut doses);
    let mut poison = Poison::default();
    let parts = doses.len() + 1;
    for (dose, part) in doses.into_iter().zip(1..) {
        reach(&mut placed, part, parts).await;
        if let Some((queue, record)) = dose {
            system.queue(&format!("{queue}Queue")).await.send(std::slice::from_ref(&record)).await;
            poison.records.entry(queue).or_default().push(record);
        } else {
            let key = format!("poison-{}", Uuid::new_v4());
            let table = system.stack.outputs.get("OrdersTableName").unwrap();
            let put = system
                .dynamodb
                .put_item()
                .table_name(table)
                .item("order_id", AttributeValue::S(key.clone()));
            put.send().await.unwrap();
            poison.rows.insert(key);
        }
    }
    poison
}

/// Records that the function behind this queue can do nothing with, each another.
fn poison_for(queue: &str) -> Vec<String> {
    let [id, at] = [Uuid::new_v4().to_string(), "2026-11-24T08:00:00Z".to_owned()];
    let metadata = json!({"event_id": id, "version": 1, "occurred_at": at, "correlation_id": id});
    let event = |name, data| {
        json!({"detail-type": name, "detail": {"metadata": metadata, "data": data}}).to_string()
    };
    let mut poison = vec![
        format!("no JSON, {id}"),
        json!([id]).to_string(),
        event("order.unheard-of", json!({"order_id": id})),
        event("order.placed", json!({"order_id": id, "lines": "two croissants"})),
    ];
    if queue == "Results" {
        // It can be read, but nobody has placed that order.
        poison.push(event("inventory.reserved", json!({"order_id": id})));
    }
    poison
}

/// Deploys a change of every function half-way, and returns which were replaced.
pub(super) async fn update(
    running: &Running,
    binaries: &Binaries,
    options: &Options,
    mut placed: Placed,
) -> Vec<String> {
    reach(&mut placed, 1, 2).await;
    let (_, change) =
        Stack::deploy(running.host.address(), binaries, &reconfigured(options)).await.unwrap();
    match change {
        Change::Updated(resources) => {
            resources.into_iter().filter(|resource| FUNCTIONS.contains(&&**resource)).collect()
        }
        change => panic!("the update was none: {change:?}"),
    }
}
