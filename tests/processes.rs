//! `cargo local` at the command line. No process outlives its stack.

use std::{fs, net::TcpStream, path::Path, process::Stdio};

use local::{Binaries, Found, Options, Progress};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
};

use crate::{
    harness::{eventually, stack},
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

    /// Runs a command, which must succeed, and returns what it prints.
    async fn run(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().await.unwrap();
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a command, which must end with status 1, and returns what it prints.
    async fn fail(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().await.unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// A JSON file of the state directory.
    fn described(&self, file: &str) -> Value {
        serde_json::from_slice(&fs::read(self.options.state_dir.join(file)).unwrap()).unwrap()
    }

    /// The id of the background process.
    fn host(&self) -> u32 {
        Found::in_directory(&self.options.state_dir).unwrap().process_id().cast_unsigned()
    }
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
    let timeline = local.run(&["up", "--detach"]).await;
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
    assert_eq!(local.fail(&["status"]).await, "nothing is running\n");

    local.run(&["up", "--detach"]).await;
    assert_eq!(api_path(&local.described("stack.json")), first_path);
    let stopped = family(local.host()).await;
    let token = local.run(&["token"]).await;
    assert!(token.trim_end().split('.').count() == 3 && token.lines().count() == 1);
    let declined = local.fail(&[
        "order",
        "--location",
        "tokyo-ginza",
        "--item",
        "croissant=1",
        "--payment-method",
        "pm_card_chargeDeclined",
    ]);
    assert!(declined.await.contains("rejected"));
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
    for description in ["stack.json", "env.json"] {
        assert!(!local.options.state_dir.join(description).exists(), "{description}");
    }
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
    assert!(local.run(&order).await.contains("confirmed"));
    let left = local.run(&["faults"]).await;
    assert!(left.trim().starts_with("2  every request") && left.lines().count() == 1, "{left}");
    local.run(&["faults", "remove", "2"]).await;
    assert_eq!(local.run(&["faults"]).await, "");
    local.fail(&["faults", "remove", "2"]).await;
    local.run(&["down"]).await;
}

#[tokio::test]
async fn the_dashboard_counts_orders_and_declines_and_shows_every_function_and_queue() {
    let local = CommandLine::new("dashboard").await;
    local.run(&["up", "--detach"]).await;
    let order = ["order", "--location", "paris-marais", "--item", "croissant=2"];
    local.run(&order).await;
    let declined = [&order[..], &["--payment-method", "pm_card_visa_chargeDeclined"]].concat();
    local.fail(&declined).await;
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
    local.run(&["down"]).await;
}

/// Only on Linux does the loopback interface have several addresses.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_stack_listens_on_the_bind_address_and_describes_it_for_containers() {
    let local = CommandLine::new("bound").await;
    let timeline = local.run(&["--bind", "127.0.0.2", "up", "--detach"]).await;
    assert!(timeline.contains("confirmed"), "{timeline}");

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
}
