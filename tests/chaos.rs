//! A thousand orders while everything goes wrong at once, and the books afterwards.
//!
//! All choices come from a seed, which is printed; the schedule is the machine's. What goes wrong
//! is spread over the orders as they are placed, so that a slow machine sees as much of it as a
//! fast one.

mod books;
mod customers;
mod report;
mod trouble;

use std::{env, time::Duration};

use fastrand::Rng;
use futures::{StreamExt, future::join_all, stream};
use local::{Binaries, Options, Progress, Running, shops::Shop};
use tokio::{
    join,
    sync::watch,
    time::{Instant, sleep},
};

use crate::{
    chaos::{
        books::{Books, crashes},
        customers::Wish,
        report::Report,
    },
    harness::{Queue, System, a_shop, changed_template, stack},
};

/// How many orders are placed.
const ORDERS: usize = 1_000;

/// By how many customers.
const CUSTOMERS: usize = 25;

/// At how many shops.
const SHOPS: usize = 4;

/// How many orders are under way at the same time.
const AT_ONCE: usize = 24;

/// From one order to the next, at least.
const PACE: Duration = Duration::from_millis(50);

/// Nobody orders while more messages than this wait to be handled: the rush is as fast as the
/// machine can follow, and most orders do not expire for the machine's sake alone.
const BACKLOG: usize = 100;

/// The share of orders that their customers try to cancel.
const CANCELLED: f64 = 0.15;

/// An order that is not confirmed by then expires: the least that the template takes.
const CONFIRM_WITHIN_SECONDS: u32 = 60;

/// How long charges and refunds are retried. Of its five receives, a charge that never succeeds has
/// used three by the deadline, after which it is not tried any more.
const PROVIDER_BUDGET_SECONDS: u32 = 240;

/// How long all else is retried. A deadline that is looked at too early has used three receives
/// when it has come.
const BUDGET_SECONDS: u32 = 180;

/// How long what a killed function held is hidden. The template has up to three minutes, six times
/// the function's time-out; this is the longest time-out itself, so that still no message comes
/// again while it is being handled.
const VISIBILITY_TIMEOUT_SECONDS: u32 = 30;

/// How many orders have been placed.
type Placed = watch::Receiver<usize>;

#[tokio::test]
#[ignore = "takes minutes: `cargo chaos` runs it"]
async fn a_thousand_orders_come_out_even_while_everything_goes_wrong() {
    let seed = env::var("CHAOS_SEED")
        .map_or_else(|_| fastrand::u64(..), |seed| seed.parse().expect("CHAOS_SEED is a number"));
    report::say(&format!("CHAOS_SEED={seed} makes the same choices again"));
    let mut random = Rng::with_seed(seed);

    let options = options();
    let running = Running::start(&options).await.unwrap();
    let binaries = Binaries::build(&[], Progress::Silent).await.unwrap();
    let system = System::of(&running.stack);
    let customers = join_all((0..CUSTOMERS).map(|_| system.customer())).await;
    let shops = [(); SHOPS].map(|()| a_shop_that_runs_out(&mut random));
    join_all(shops.iter().map(|shop| system.open(shop))).await;
    let wishes: Vec<Wish> =
        (0..ORDERS).map(|_| Wish::new(&customers, &shops, &mut random)).collect();

    let (count, placed) = watch::channel(0);
    let started = Instant::now();
    // Those that an order goes through on its way to being confirmed.
    let queues =
        join_all(["StockQueue", "ResultsQueue", "ChargeQueue"].map(|name| system.queue(name)))
            .await;
    let ordering = async {
        let rush = stream::iter(&wishes).then(async |wish| {
            sleep(PACE).await;
            while backlog(&queues).await > BACKLOG {
                sleep(10 * PACE).await;
            }
            wish
        });
        let rush = rush.map(|wish| wish.comes_true(&system, &count));
        let complaints: Vec<Option<String>> = rush.buffer_unordered(AT_ONCE).collect().await;
        (complaints, Instant::now())
    };
    let [killing, copying, failing, poisoning] = [(); 4].map(|()| random.fork());
    let ((complaints, ordered), killed, copies, faults, (), poison, replaced) = join!(
        ordering,
        trouble::kills(&options, killing),
        trouble::copies(&system, placed.clone(), copying),
        trouble::faults(&system, placed.clone(), failing),
        trouble::outage(&system, &wishes, placed.clone()),
        trouble::poison(&system, placed.clone(), poisoning),
        trouble::update(&running, &binaries, &options, placed.clone()),
    );
    let (books, unsettled) = Books::settled(&system).await;
    let settled = Instant::now();
    let crashes = crashes(&options);
    let mut audit = books.audit(&wishes, &shops, &poison, &crashes);
    audit.differences.extend(complaints.into_iter().flatten().chain(unsettled));

    let mut report = Report::default();
    report.line("seed", seed);
    report.line("orders accepted", books.orders.len());
    let ends = books.ends();
    for (end, count) in ends {
        report.line(&format!("orders {end}"), count);
    }
    report.line(
        "requests sent more than once at the same time",
        wishes.iter().filter(|wish| wish.copies > 1).count(),
    );
    report.line("function processes killed", killed);
    for (function, count) in &crashes {
        report.line(&format!("  {function} ended in mid-invocation"), count);
    }
    report.line("functions replaced by a deployment under load", replaced.len());
    report.line("events published again", copies.published);
    report.line("events sent to a queue again", copies.sent);
    report.line("poison records", poison.count());
    report.line("provider: outage of all requests", format!("{} s", trouble::OUTAGE.as_secs()));
    report.line(
        "provider: payments that it never confirms",
        wishes.iter().filter(|wish| wish.is_hopeless()).count(),
    );
    report.line(
        "provider: payments with which it fails four times",
        wishes.iter().filter(|wish| wish.stumbles()).count(),
    );
    report.line("provider: other faults", faults);
    report.line("notices sent", audit.told);
    report.line("  repeated after a crash", audit.repeated);
    report.line("  left out, since a newer one was sent before", audit.overtaken);
    report.line("placing took", format!("{:.0} s", (ordered - started).as_secs_f64()));
    report.line("settled after another", format!("{:.0} s", (settled - ordered).as_secs_f64()));
    report.line("differences", audit.differences.len());
    report.publish(&options.state_dir.join("report.md"));

    assert!(audit.differences.is_empty(), "{}", audit.differences.join("\n"));
    // It is no proof when nothing has gone wrong.
    for (end, count) in ends {
        assert!(count > 0, "no order was {end}");
    }
    assert!(crashes.len() > 4, "functions were hardly killed at work: {crashes:?}");
    assert_eq!(
        replaced.len(),
        trouble::FUNCTIONS.len(),
        "not every function was replaced: {replaced:?}"
    );
}

/// How many messages wait.
async fn backlog(queues: &[Queue<'_>]) -> usize {
    join_all(queues.iter().map(Queue::waiting)).await.into_iter().sum()
}

/// A stack on a faster clock: nothing but times is changed.
fn options() -> Options {
    let mut options = stack("chaos");
    options.parameters = [
        ("ConfirmWithinSeconds", CONFIRM_WITHIN_SECONDS),
        ("RetryBudgetSeconds", BUDGET_SECONDS),
        ("ChargeRetryBudgetSeconds", PROVIDER_BUDGET_SECONDS),
        ("RefundRetryBudgetSeconds", PROVIDER_BUDGET_SECONDS),
    ]
    .map(|(name, seconds)| (name.to_owned(), seconds.to_string()))
    .into();
    options.template = changed_template(&options, hide_for_less);
    options
}

fn hide_for_less(template: &mut yaml_serde::Value) {
    for queue in trouble::QUEUES {
        template["Resources"][format!("{queue}Queue")]["Properties"]["VisibilityTimeout"] =
            VISIBILITY_TIMEOUT_SECONDS.into();
    }
}

/// The same stack with a new configuration for every function.
fn reconfigured(options: &Options) -> Options {
    let template = changed_template(options, |template| {
        hide_for_less(template);
        template["Globals"]["Function"]["MemorySize"] = 192.into();
        for function in ["OrderRelay", "Payment"] {
            template["Resources"][function]["Properties"]["MemorySize"] = 320.into();
        }
    });
    Options { template, ..options.clone() }
}

/// A shop whose éclairs are fewer than what will be asked for.
fn a_shop_that_runs_out(random: &mut Rng) -> Shop {
    let mut shop = a_shop();
    let orders = u32::try_from(ORDERS).unwrap();
    shop.bake_plan.insert("eclair".parse().unwrap(), random.u32(orders / 25..orders / 12));
    shop
}
