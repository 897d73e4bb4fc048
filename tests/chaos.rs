//! A thousand orders while everything goes wrong at once, and an audit afterwards.
//!
//! All choices come from a seed, which is printed. The schedule depends on the machine. Faults are
//! spread over the orders as they are placed, so a slow machine sees as many of them as a fast one.

mod books;
mod customers;
mod report;
mod trouble;
mod versions;

use std::{env, time::Duration};

use fastrand::Rng;
use futures::{StreamExt, future::join_all, stream};
use local::{Binaries, Options, Progress, Running, shops::Shop};
use resources::Template;
use tokio::{
    join,
    sync::watch,
    time::{Instant, sleep},
};

use crate::{
    chaos::{
        books::{Books, crashes},
        customers::PlannedOrder,
        report::Report,
    },
    harness::{Queue, System, changed_template, new_shop, stack},
};

/// The number of orders.
const ORDERS: usize = 1_000;

/// The number of customers.
const CUSTOMERS: usize = 25;

/// The number of shops.
const SHOPS: usize = 4;

/// How many orders are placed at the same time.
const AT_ONCE: usize = 24;

/// The shortest time from one order to the next.
const PACE: Duration = Duration::from_millis(50);

/// No order is placed while more messages than this wait. On a slow machine orders would otherwise
/// expire for no other reason than that.
const BACKLOG: usize = 100;

/// The fraction of orders that their customers try to cancel.
const CANCELLED: f64 = 0.15;

/// The deadline of an order: the shortest that the template allows.
const CONFIRM_WITHIN_SECONDS: u32 = 60;

/// The retry budget of charges and refunds. A charge that never succeeds is still retried at the
/// deadline, after which it is no longer tried.
const PROVIDER_BUDGET_SECONDS: u32 = 240;

/// The retry budget of everything else. A deadline message that comes too early is still retried
/// when the deadline passes.
const BUDGET_SECONDS: u32 = 180;

/// How long the messages of a killed function stay hidden. The template hides them for six function
/// time-outs, up to three minutes. This is the longest time-out itself, so a message is still never
/// received again while it is being processed.
const VISIBILITY_TIMEOUT_SECONDS: u32 = 30;

/// The number of orders placed so far.
type Placed = watch::Receiver<usize>;

#[tokio::test]
#[ignore = "takes minutes: `cargo chaos` runs it"]
async fn the_invariants_hold_for_a_thousand_orders_while_everything_goes_wrong() {
    let seed = env::var("CHAOS_SEED")
        .map_or_else(|_| fastrand::u64(..), |seed| seed.parse().expect("CHAOS_SEED is a number"));
    report::say(&format!("CHAOS_SEED={seed} makes the same choices again"));
    let mut random = Rng::with_seed(seed);

    let mut options = options("chaos");
    // Few customers place all orders within minutes.
    options.parameters.insert("DeclinesPerCustomer".to_owned(), "1000".to_owned());
    options.template = changed_template(&options, shorten_visibility);
    let running = Running::start(&options).await.unwrap();
    let binaries = Binaries::build(&[], Progress::Silent).await.unwrap();
    let system = System::connect(&running.stack);
    let customers = join_all((0..CUSTOMERS).map(|_| system.customer())).await;
    let shops = [(); SHOPS].map(|()| shop_with_few_eclairs(&mut random));
    join_all(shops.iter().map(|shop| system.open(shop))).await;
    let plan: Vec<PlannedOrder> =
        (0..ORDERS).map(|_| PlannedOrder::new(&customers, &shops, &mut random)).collect();

    let (count, placed) = watch::channel(0);
    let started = Instant::now();
    // The queues on an order's way to being confirmed.
    let queues =
        join_all(["StockQueue", "ResultsQueue", "ChargeQueue"].map(|name| system.queue(name)))
            .await;
    let ordering = async {
        let rush = stream::iter(&plan).then(async |planned| {
            sleep(PACE).await;
            while backlog(&queues).await > BACKLOG {
                sleep(10 * PACE).await;
            }
            planned
        });
        let rush = rush.map(|planned| planned.carry_out(&system, &count));
        let wrong_answers: Vec<Option<String>> = rush.buffer_unordered(AT_ONCE).collect().await;
        (wrong_answers, Instant::now())
    };
    let [killing, copying, failing, poisoning] = [(); 4].map(|()| random.fork());
    let ((wrong_answers, ordered), killed, copies, faults, (), poison, replaced) = join!(
        ordering,
        trouble::kills(&options, killing),
        trouble::copies(&system, placed.clone(), copying),
        trouble::faults(&system, placed.clone(), failing),
        trouble::outage(&system, &plan, placed.clone()),
        trouble::poison(&system, placed.clone(), poisoning),
        trouble::update(&running, &binaries, &options, placed.clone()),
    );
    let (books, unsettled) = Books::settled(&system).await;
    let settled = Instant::now();
    let crashes = crashes(&options);
    let mut audit = books.audit(&plan, &shops, &poison, &crashes);
    audit.violations.extend(wrong_answers.into_iter().flatten().chain(unsettled));

    let mut report = Report::default();
    report.line("seed", seed);
    report.line("orders accepted", books.orders.len());
    let ends = books.ends();
    for (end, count) in ends {
        report.line(&format!("orders {end}"), count);
    }
    report.line(
        "requests sent more than once at the same time",
        plan.iter().filter(|planned| planned.copies > 1).count(),
    );
    report.line("function processes killed", killed);
    for (function, count) in &crashes {
        report.line(&format!("  {function} died in an invocation"), count);
    }
    report.line("functions replaced by a deployment under load", replaced.len());
    report.line("events published again", copies.published);
    report.line("events sent to a queue again", copies.sent);
    report.line("poison records", poison.count());
    report.line("provider: outage of all requests", format!("{} s", trouble::OUTAGE.as_secs()));
    report.line(
        "provider: payments that it never confirms",
        plan.iter().filter(|planned| planned.is_hopeless()).count(),
    );
    report.line(
        "provider: payments with which it fails four times",
        plan.iter().filter(|planned| planned.fails_repeatedly()).count(),
    );
    report.line("provider: other faults", faults);
    report.line("disputes, half of them lost", books.disputes());
    report.line("notices sent", audit.notices);
    report.line("  repeated after a crash", audit.repeated);
    report.line("  left out because a newer one was sent first", audit.overtaken);
    report.line("placing the orders took", format!("{:.0} s", (ordered - started).as_secs_f64()));
    report.line("settling took another", format!("{:.0} s", (settled - ordered).as_secs_f64()));
    report.line("violations", audit.violations.len());
    report.publish(&options.state_dir.join("report.md"));

    assert!(audit.violations.is_empty(), "{}", audit.violations.join("\n"));
    // The run proves nothing unless enough has gone wrong.
    for (end, count) in ends {
        assert!(count > 0, "no order ended {end}");
    }
    assert!(crashes.len() > 4, "hardly any function was killed while it worked: {crashes:?}");
    assert_eq!(
        replaced.len(),
        Template::local().functions().len(),
        "only these functions were replaced: {replaced:?}"
    );
}

/// The number of waiting messages.
async fn backlog(queues: &[Queue<'_>]) -> usize {
    join_all(queues.iter().map(Queue::waiting)).await.into_iter().sum()
}

/// Options of a stack with shorter times.
fn options(name: &str) -> Options {
    let mut options = stack(name);
    options.parameters = [
        ("ConfirmWithinSeconds", CONFIRM_WITHIN_SECONDS),
        ("RetryBudgetSeconds", BUDGET_SECONDS),
        ("NoticeRetryBudgetSeconds", BUDGET_SECONDS),
        ("ChargeRetryBudgetSeconds", PROVIDER_BUDGET_SECONDS),
        ("RefundRetryBudgetSeconds", PROVIDER_BUDGET_SECONDS),
    ]
    .map(|(name, seconds)| (name.to_owned(), seconds.to_string()))
    .into();
    options
}

fn shorten_visibility(template: &mut yaml_serde::Value) {
    for queue in Template::local().queues() {
        template["Resources"][format!("{queue}Queue")]["Properties"]["VisibilityTimeout"] =
            VISIBILITY_TIMEOUT_SECONDS.into();
    }
}

/// The options with a new configuration for every function.
fn reconfigured(options: &Options) -> Options {
    let template = changed_template(options, |template| {
        shorten_visibility(template);
        template["Globals"]["Function"]["MemorySize"] = 192.into();
        for function in Template::local().functions() {
            // A function that needs more than the others names its own size.
            let properties = &mut template["Resources"][function]["Properties"];
            if let Some(memory) = properties["MemorySize"].as_u64() {
                properties["MemorySize"] = (memory + 64).into();
            }
        }
    });
    Options { template, ..options.clone() }
}

/// A shop that bakes fewer éclairs than will be ordered.
fn shop_with_few_eclairs(random: &mut Rng) -> Shop {
    let mut shop = new_shop();
    let orders = u32::try_from(ORDERS).unwrap();
    shop.bake_plan.insert("eclair".parse().unwrap(), random.u32(orders / 25..orders / 12));
    shop
}
