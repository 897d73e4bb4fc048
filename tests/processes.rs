//! `cargo local` at the command line. No process outlives its stack.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::Path,
    process::Stdio,
};

use aws_sdk_lambda::Client as Lambda;
use local::{Binaries, Found, Options, Progress, Stack};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
};

use crate::{
    harness::{System, eventually, stack},
    process::{self, Process, family, kill},
};

async fn all_ended(family: &[Process]) {
    let left = async || {
        let running = process::all().await;
        family
            .iter()
            .all(|member| {
                !running
                    .iter()
                    .any(|process| process.id == member.id && process.command == member.command)
            })
            .then_some(())
    };
    eventually("all processes to end", left).await;
}

/// `cargo local` for a stack of its own.
struct CommandLine {
    options: Options,
    binaries: Binaries,
}

impl CommandLine {
    async fn new(name: &str) -> Self {
        Self {
            options: stack(name),
            binaries: Binaries::build(&["local"], Progress::Silent).await.unwrap(),
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.binaries.path("local").unwrap());
        command
            .args(["--port", "0", "--sandbox-port", "0", "--state-dir"])
            .arg(&self.options.state_dir)
            .args(arguments);
        command.stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    /// Runs a command, which must end with this status.
    async fn call(&self, status: i32, arguments: &[&str]) -> Printed {
        let output = self.command(arguments).output().await.unwrap();
        let [result, messages] =
            [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {messages}");
        Printed { result, messages }
    }

    /// The result of a command that must succeed.
    async fn run(&self, arguments: &[&str]) -> String {
        self.call(0, arguments).await.result
    }

    /// A JSON file of the state directory.
    fn described(&self, file: &str) -> Value {
        serde_json::from_slice(&fs::read(self.options.state_dir.join(file)).unwrap()).unwrap()
    }

    /// The names of the files in the state directory.
    fn left(&self) -> Vec<String> {
        let files = fs::read_dir(&self.options.state_dir).unwrap();
        files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect()
    }

    /// The id of the background process.
    fn host(&self) -> u32 {
        Found::in_directory(&self.options.state_dir).unwrap().process_id().cast_unsigned()
    }
}

/// What a command has printed.
struct Printed {
    /// To standard output.
    result: String,
    /// To standard error.
    messages: String,
}

impl Drop for CommandLine {
    /// Stops the stack also when the test fails.
    fn drop(&mut self) {
        if let Some(host) = Found::in_directory(&self.options.state_dir) {
            let _ = host.terminate();
        }
    }
}

/// The number of processes that run functions.
fn functions(family: &[Process], state_dir: &Path) -> usize {
    family.iter().filter(|process| process.is_function(state_dir)).count()
}

/// The functions that an order needs to be confirmed. Its mail may be sent later.
const CONFIRMING: usize = 5;

#[tokio::test]
async fn a_detached_stack_takes_commands_and_leaves_no_process_when_stopped_or_killed() {
    let local = CommandLine::new("detached").await;
    let timeline = local.call(0, &["up", "--detach"]).await.messages;
    assert!(timeline.contains("placed") && timeline.contains("confirmed"), "{timeline}");
    let description = local.described("stack.json");
    for field in ["endpoint", "api_url", "region", "stack_name"] {
        assert!(description[field].is_string(), "{field}: {description}");
    }
    let api_path = |description: &Value| {
        let url = description["api_url"].as_str().unwrap().strip_prefix("http://").unwrap();
        url.split_once('/').unwrap().1.to_owned()
    };
    let first_path = api_path(&description);
    let killed = family(local.host()).await;
    assert!(functions(&killed, &local.options.state_dir) >= CONFIRMING, "{killed:?}");
    assert!(kill("-KILL", killed[0].id).await);
    all_ended(&killed).await;
    let nothing = format!("nothing is running in {}", local.options.state_dir.display());
    assert_eq!(local.call(1, &["status"]).await.result, format!("{nothing}\n"));
    // A killed stack has left its events.
    assert!(local.left().contains(&"events.jsonl".to_owned()));
    let down = local.call(0, &["down"]).await.messages;
    assert_eq!(down, format!("{nothing}; what an earlier stack left is removed\n"));
    assert_eq!(local.left(), ["host.lock"]);

    local.run(&["up", "--detach"]).await;
    assert_eq!(api_path(&local.described("stack.json")), first_path);
    let stopped = family(local.host()).await;
    let token = local.run(&["token"]).await;
    assert!(token.trim_end().split('.').count() == 3 && token.lines().count() == 1);
    let declined = local.call(
        1,
        &[
            "order",
            "--location",
            "paris-marais",
            "--item",
            "croissant=1",
            "--payment-method",
            "pm_card_chargeDeclined",
        ],
    );
    assert!(declined.await.messages.contains("rejected"));
    for (command, traces) in [
        (&["events"][..], "order.rejected"),
        (&["mail"], "We could not take your order"),
        (&["logs", "order-relay"], "published"),
        (&["status"], &*stopped[0].id.to_string()),
    ] {
        let shown = async || local.run(command).await.contains(traces).then_some(());
        eventually(&format!("{traces} in {command:?}"), shown).await;
    }
    assert_eq!(local.run(&["logs", "--level", "error", "--since", "1m"]).await, "");
    local.run(&["down"]).await;
    all_ended(&stopped).await;
    assert_eq!(local.left(), ["host.lock"]);
    assert_eq!(local.call(0, &["down"]).await.messages, format!("{nothing}\n"));

    // Such as a stack whose state directory was deleted.
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = other.local_addr().unwrap().port().to_string();
    let in_use = format!("port {port} (--port) is in use");
    for command in ["status", "down"] {
        let status = i32::from(command == "status");
        let said = local.call(status, &[command, "--port", &port]).await;
        let said = said.result + &said.messages;
        assert!(said.starts_with(&format!("{nothing}, but {in_use}")), "{said}");
    }
    // Before anything is built.
    let refused = local.call(1, &["up", "--detach", "--port", &port]).await.messages;
    assert!(refused.starts_with(&format!("error: {in_use}")), "{refused}");
}

#[tokio::test]
async fn an_order_is_placed_and_cancelled_by_its_id_and_url_names_the_api() {
    let local = CommandLine::new("cancelled").await;
    local.run(&["up", "--detach"]).await;
    let url = local.run(&["url"]).await;
    assert_eq!(Some(url.trim_end()), local.described("stack.json")["api_url"].as_str());

    let order = ["order", "--location", "paris-marais", "--item", "croissant=2", "--user", "ben"];
    let placed = local.run(&order).await;
    let id = placed.strip_suffix('\n').unwrap();
    assert!(id.parse::<uuid::Uuid>().is_ok(), "{placed}");
    let refused = local.call(1, &["cancel", id]).await.messages;
    assert_eq!(refused, "error: the API refused: You have no order with this id. (404)\n");
    let cancelled = local.run(&["cancel", id, "--user", "ben"]).await;
    assert_eq!(cancelled, "cancelled\npayment: refunded\n");

    let closed = [&order[..], &["--payment-method", "pm_card_refundFail"]].concat();
    let id = local.run(&closed).await;
    let cancelled = local.run(&["cancel", id.trim_end(), "--user", "ben"]).await;
    assert_eq!(cancelled, "cancelled\npayment: refund_failed\n");
    local.run(&["down"]).await;
}

/// The README, read when the test runs: the copy of the sources to which faults are applied has
/// none.
fn readme() -> String {
    fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).unwrap()
}

/// The arguments of the command in the README that begins with these.
fn command<'a>(readme: &'a str, beginning: &str) -> Vec<&'a str> {
    let beginning = format!("cargo local {beginning} ");
    let command = readme.split('`').find(|code| code.starts_with(&beginning)).unwrap();
    command.split(' ').skip(2).collect()
}

#[tokio::test]
async fn an_order_waits_for_seconds_after_the_fault_that_the_readme_sets() {
    let local = CommandLine::new("waiting").await;
    local.run(&["up", "--detach"]).await;
    let readme = readme();
    local.run(&command(&readme, "faults set")).await;
    let timeline = local.call(0, &command(&readme, "order")).await.messages;
    let after = |state: &str| -> u64 {
        let line = timeline.lines().find(|line| line.ends_with(state)).expect(state);
        line.split_whitespace().next().unwrap().parse().unwrap()
    };
    // From one try to the next, 1 and 2 seconds.
    assert!(after("confirmed") - after("reserved") >= 2_500, "{timeline}");
    local.run(&["down"]).await;
}

#[tokio::test]
async fn faults_are_listed_and_removed_one_by_one_and_set_before_their_order_exists() {
    let local = CommandLine::new("faults").await;
    local.run(&["up", "--detach"]).await;
    let order = ["order", "--location", "paris-marais", "--item", "croissant=2"];
    let declines = ["faults", "set", "--route", "confirm", "--amount", "380", "--times", "1"];
    local.run(&[&declines[..], &["--fail", "503"]].concat()).await;
    local.run(&["faults", "set", "--order", "o-1", "--lose"]).await;
    let listed = local.run(&["faults"]).await;
    assert_eq!(
        listed.lines().map(str::trim).collect::<Vec<_>>(),
        [
            "1  confirm for 380 minor units fails with 503, once more",
            "2  every request of order o-1 is done, and its answer is lost",
        ]
    );
    // The provider fails once, and the charge is repeated.
    local.run(&order).await;
    let left = local.run(&["faults"]).await;
    assert!(left.trim().starts_with("2  every request") && left.lines().count() == 1, "{left}");
    let remove = ["faults", "remove", "2"];
    let removed = local.call(0, &remove).await.messages;
    assert!(removed.starts_with("removed: every request of order o-1"), "{removed}");
    let Printed { result, messages } = local.call(0, &["faults"]).await;
    assert_eq!((&*result, &*messages), ("", "no fault is set\n"));
    let unknown = local.call(1, &remove).await.messages;
    assert!(unknown.starts_with("error: there is no fault 2"), "{unknown}");
    let remove_all = async || local.call(0, &["faults", "remove"]).await.messages;
    assert_eq!(remove_all().await, "there was no fault to remove\n");
    for order in ["o-2", "o-3"] {
        local.run(&["faults", "set", "--order", order, "--lose"]).await;
    }
    assert_eq!(remove_all().await, "2 faults removed\n");
    local.run(&["down"]).await;
}

#[tokio::test]
async fn the_dashboard_counts_orders_and_declines_and_shows_every_function_and_queue() {
    let local = CommandLine::new("dashboard").await;
    local.run(&["up", "--detach"]).await;
    let order = ["order", "--location", "paris-marais", "--item", "croissant=2"];
    local.run(&order).await;
    let declined = [&order[..], &["--payment-method", "pm_card_visa_chargeDeclined"]].concat();
    local.call(1, &declined).await;
    // With the order that `up` places.
    let expected = [
        ("placed", "3"),
        ("confirmed", "2"),
        ("payment declined", "1"),
        ("generic decline", "1"),
        ("notices sent", "3"),
    ];
    let shown = async || {
        let dashboard = local.run(&["dashboard", "--once"]).await;
        let words: Vec<_> = dashboard.split_whitespace().collect();
        let dashboard = words.join(" ");
        let counts =
            expected.iter().all(|(name, count)| dashboard.contains(&format!("{name} {count} ")));
        counts.then_some(dashboard)
    };
    let dashboard = eventually("the orders in the dashboard", shown).await;
    for part in ["paris-marais", "no alarm", "order-relay", "payment", "refund 0", "no alarm rings"]
    {
        assert!(dashboard.contains(part), "{part}: {dashboard}");
    }
    assert!(!dashboard.contains("disabled"), "{dashboard}");

    let stack = Stack::find(&local.options.state_dir).unwrap();
    let mapping = System::connect(&stack).resource("ChargeMapping").await;
    let update = Lambda::new(&stack.aws()).update_event_source_mapping().uuid(mapping);
    update.enabled(false).send().await.unwrap();
    let dashboard = local.run(&["dashboard", "--once"]).await;
    assert!(dashboard.contains("\ncharge (disabled) "), "{dashboard}");
    local.run(&["down"]).await;
}

/// Only on Linux does the loopback interface have several addresses.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_stack_listens_on_the_bind_address_and_describes_it_for_containers() {
    let local = CommandLine::new("bound").await;
    local.run(&["--bind", "127.0.0.2", "up", "--detach"]).await;
    let (stack, environments) = (local.described("stack.json"), local.described("env.json"));
    for (address, variable) in [("endpoint", "AWS_ENDPOINT_URL"), ("sandbox_url", "PROVIDER_URL")] {
        let port = stack[address].as_str().unwrap().strip_prefix("http://127.0.0.2:").unwrap();
        assert!(TcpStream::connect(format!("127.0.0.2:{port}")).is_ok(), "{address}");
        assert!(TcpStream::connect(format!("127.0.0.1:{port}")).is_err(), "{address}");
        assert_eq!(
            environments["Payment"][variable],
            format!("http://host.docker.internal:{port}")
        );
    }
    assert_eq!(environments["OrderIntake"]["ORDERS_TABLE"], stack["outputs"]["OrdersTableName"]);
    let queue = environments["Inventory"]["STOCK_QUEUE_URL"].as_str().unwrap();
    assert!(queue.ends_with("/amelie-stock"), "{queue}");

    let host = family(local.host()).await;
    local.run(&["down"]).await;
    all_ended(&host).await;
}

#[tokio::test]
async fn an_unusable_bind_address_is_refused_with_advice() {
    let local = CommandLine::new("unbound").await;
    for (address, advice) in [
        ("0.0.0.0", "give an IPv4 address of this machine"),
        // This network is reserved for documentation, so no machine has the address.
        ("192.0.2.1", "this machine has no address 192.0.2.1: choose one of its own with --bind"),
    ] {
        let refused = local.command(&["--bind", address, "up", "--detach"]).output().await.unwrap();
        let reason = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success() && reason.contains(advice), "{address}: {reason}");
    }
}

#[tokio::test]
async fn an_interrupted_stack_leaves_no_process() {
    let local = CommandLine::new("attached").await;
    let mut process =
        local.command(&[]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut output = BufReader::new(process.stdout.take().unwrap()).lines();
    while !output.next_line().await.unwrap().expect("the curl line").starts_with("curl ") {}

    let family = family(process.id().unwrap()).await;
    assert!(functions(&family, &local.options.state_dir) >= CONFIRMING, "{family:?}");
    assert!(kill("-INT", process.id().unwrap()).await);
    assert!(process.wait().await.unwrap().success());
    all_ended(&family[1..]).await;
    assert_eq!(local.left(), ["host.lock"]);
}
