//! The faults that happen while orders are placed.

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
use resources::Template;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, sleep_until};
use uuid::Uuid;

use super::{CONFIRM_WITHIN_SECONDS, ORDERS, Placed, customers::PlannedOrder, reconfigured};
use crate::{harness::System, process};

/// How many times a function is killed.
const KILLS: u32 = 120;

/// How long functions are killed, from the first order on. The messages of a killed function are
/// received again after half of this time, so none is killed more than twice or after its order's
/// deadline.
const KILLING: Duration = Duration::from_secs(CONFIRM_WITHIN_SECONDS as u64);

/// How many times events are repeated.
const COPIES: usize = 250;

/// How many faults the provider gets.
const FAULTS: usize = 80;

/// How long the provider fails every request: less than a tenth of the retry budget.
pub(super) const OUTAGE: Duration = Duration::from_secs(20);

/// How many rows are put into the Orders table that are not orders.
const POISON_ROWS: usize = 5;

/// The queues that take an event.
fn queues_of<'a>(template: &'a Template, event: &Value) -> Vec<&'a str> {
    let mut queues: Vec<_> = template.queues().into_iter().collect();
    let event_type = event["detail-type"].as_str().unwrap();
    queues.retain(|queue| template.events_of(queue).contains(event_type));
    queues
}

/// Waits until `part` of `parts` of all orders are placed.
async fn reach(placed: &mut Placed, part: usize, parts: usize) {
    placed.wait_for(|placed| placed * parts >= ORDERS * part).await.unwrap();
}

/// Kills functions, each time one process of a function or all of them. Returns the number of
/// killed processes.
///
/// Any function may be killed, since the embedded AWS loses nothing by it: it retries a batch of
/// the stream at once and a batch of a queue after the visibility timeout, and answers a request
/// with
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

/// How many events were repeated.
#[derive(Clone, Copy, Default)]
pub(super) struct Copies {
    /// Events published again.
    pub(super) published: usize,
    /// Events sent to a queue again.
    pub(super) sent: usize,
}

/// Repeats events that have passed the bus, in any order, on the bus or to a single queue. Some
/// come early, such as a deadline without its delay, and some late.
pub(super) async fn copies(system: &System, mut placed: Placed, mut random: Rng) -> Copies {
    let template = Template::local();
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
            let queues = queues_of(&template, &event);
            if queues.is_empty() {
                continue;
            }
            let queue =
                system.queue(&format!("{}Queue", queues[random.usize(..queues.len())])).await;
            queue.send_delayed(&[event.to_string()], [0, 0, 3, 20][random.usize(..4)]).await;
            copies.sent += 1;
        }
    }
    copies
}

/// Makes the provider slow, fail, lose answers and forget idempotency keys now and then. Returns
/// the number of faults.
pub(super) async fn faults(system: &System, mut placed: Placed, mut random: Rng) -> usize {
    use FaultyAnswer::{Fail, FailAfterWork, Lose, Normal};
    // Beyond the client's time-out, and within it.
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

/// Makes the provider fail every request for a while. Payments that are never confirmed keep their
/// faults.
pub(super) async fn outage(system: &System, plan: &[PlannedOrder<'_>], mut placed: Placed) {
    reach(&mut placed, 1, 4).await;
    let down = Fault { answer: FaultyAnswer::Fail(503), ..Fault::default() };
    system.provider.set_fault(&down).await.unwrap();
    sleep(OUTAGE).await;
    system.provider.clear_faults().await.unwrap();
    for planned in plan.iter().filter(|planned| planned.is_hopeless()) {
        planned.set_fault(system).await;
    }
}

/// Records and rows that cannot be read.
#[derive(Default)]
pub(super) struct Poison {
    /// Records by the queue that they were sent to.
    pub(super) records: BTreeMap<String, Vec<String>>,
    /// The keys of rows of the Orders table that are not orders.
    pub(super) rows: BTreeSet<String>,
}

impl Poison {
    pub(super) fn count(&self) -> usize {
        self.records.values().map(Vec::len).sum::<usize>() + self.rows.len()
    }
}

/// Sends poison to every queue, and puts it into the Orders table.
pub(super) async fn poison(system: &System, mut placed: Placed, mut random: Rng) -> Poison {
    let template = Template::local();
    let queues = template.queues().into_iter();
    let records = queues
        .flat_map(|queue| poison_for(queue).into_iter().map(move |record| Some((queue, record))));
    let mut doses: Vec<_> = records.chain([const { None }; POISON_ROWS]).collect();
    random.shuffle(&mut doses);
    let mut poison = Poison::default();
    let parts = doses.len() + 1;
    for (dose, part) in doses.into_iter().zip(1..) {
        reach(&mut placed, part, parts).await;
        if let Some((queue, record)) = dose {
            system.queue(&format!("{queue}Queue")).await.send(std::slice::from_ref(&record)).await;
            poison.records.entry(queue.to_owned()).or_default().push(record);
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

/// Different records that the function behind a queue cannot process.
fn poison_for(queue: &str) -> Vec<String> {
    let [id, at] = [Uuid::new_v4().to_string(), "2026-11-24T08:00:00Z".to_owned()];
    let metadata = json!({"event_id": id, "version": 1, "occurred_at": at, "correlation_id": id});
    let event = |name, data| {
        json!({"detail-type": name, "detail": {"metadata": metadata, "data": data}}).to_string()
    };
    let mut poison = vec![
        format!("not JSON, {id}"),
        json!([id]).to_string(),
        event("order.unknown", json!({"order_id": id})),
        event("order.placed", json!({"order_id": id, "lines": "two croissants"})),
    ];
    if queue == "Results" {
        // It can be read, but there is no such order.
        poison.push(event("inventory.reserved", json!({"order_id": id})));
    }
    poison
}

/// Deploys a change of every function when half of the orders are placed. Returns the replaced
/// functions.
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
        Change::Updated(mut resources) => {
            let template = Template::local();
            resources.retain(|resource| template.functions().contains(&**resource));
            resources
        }
        change => panic!("the deployment updated nothing: {change:?}"),
    }
}
