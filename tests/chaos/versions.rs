//! Old and new functions at work on the same orders, as a deployment leaves them for seconds and a
//! canary for half an hour: forwards, side by side, and back.

use std::{collections::BTreeMap, env, fs, path::Path, time::Duration};

use aws_sdk_cloudwatchlogs::Client as CloudWatchLogs;
use aws_sdk_lambda::{Client as Lambda, types::AliasRoutingConfiguration};
use fastrand::Rng;
use futures::{StreamExt, future::join_all, stream};
use local::{Binaries, Host, Options, Progress, Stack};
use resources::Template;
use tokio::{join, process::Command, sync::watch, time::sleep};

use super::{
    books::{Books, crashes},
    customers::PlannedOrder,
    options, report, shop_with_few_eclairs,
    trouble::Poison,
};
use crate::harness::System;

/// The number of orders.
const ORDERS: usize = 400;

/// The number of customers.
const CUSTOMERS: usize = 10;

/// The time from one order to the next.
const PACE: Duration = Duration::from_millis(200);

/// How many orders are under way at once at most, until those that are cancelled are.
const AT_ONCE: usize = 40;

/// The alias by which functions are called.
const ALIAS: &str = "live";

/// A commit's functions and their template.
struct Release {
    binaries: Binaries,
    options: Options,
}

impl Release {
    /// The one that this one replaces: the commit `BASE`, or else the last one of yesterday. The
    /// first whose functions have versions is the earliest.
    async fn before(options: &Options) -> Self {
        let base = env::var("BASE").ok().filter(|base| !base.is_empty());
        let base = match base {
            Some(base) => base,
            None => {
                output("git", &["rev-list", "--max-count=1", "--before=1 day ago", "HEAD"]).await
            }
        };
        let added = ["log", "--reverse", "--format=%H", "-SAutoPublishAlias: live"];
        let first = output("git", &[&added[..], &["--", "template.yaml"]].concat()).await;
        let first = first.lines().next().expect("the template has an alias").to_owned();
        let missing = output("git", &["rev-list", "--count", &first, &format!("^{base}")]).await;
        let commit = if missing == "0" { base } else { first };
        report::say(&format!("BASE={commit} compares with the same release again"));
        let checkout = options.state_dir.join("before");
        check_out(&commit, &checkout).await;
        let binaries = Binaries::build_other(&checkout).await.unwrap();
        Self { binaries, options: keeping_versions(options, &checkout, "before.yaml") }
    }

    async fn this(options: &Options) -> Self {
        let binaries = Binaries::build(&[], Progress::Silent).await.unwrap();
        Self { binaries, options: keeping_versions(options, &repository(), "this.yaml") }
    }

    async fn deploy(&self, host: &Host) -> Stack {
        Stack::deploy(host.address(), &self.binaries, &self.options).await.unwrap().0
    }
}

fn repository() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// What a command prints that must succeed, run in the repository.
async fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).current_dir(repository()).output().await;
    let output = output.unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Writes the files of a commit into a directory.
async fn check_out(commit: &str, directory: &Path) {
    if directory.exists() {
        fs::remove_dir_all(directory).unwrap();
    }
    fs::create_dir_all(directory).unwrap();
    let unpack = format!("git archive '{commit}' | tar -x -m -C '{}'", directory.display());
    output("sh", &["-ec", &unpack]).await;
    // Cargo tells packages of two checkouts apart by their versions alone, and would otherwise take
    // what it has compiled for one for the other.
    let manifest = directory.join("Cargo.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    let renamed = text.replacen("\nversion = \"", "\nversion = \"0.0.0-before.", 1);
    assert_ne!(renamed, text, "{} has no version", manifest.display());
    fs::write(manifest, renamed).unwrap();
}

/// The options with a release's template, in which a version outlives the next one.
fn keeping_versions(options: &Options, checkout: &Path, name: &str) -> Options {
    let template = fs::read_to_string(checkout.join("template.yaml")).unwrap();
    let mut template: yaml_serde::Value = yaml_serde::from_str(&template).unwrap();
    let globals = &mut template["Globals"]["Function"];
    globals["VersionDeletionPolicy"] = "Retain".into();
    let path = options.state_dir.join(name);
    fs::write(&path, yaml_serde::to_string(&template).unwrap()).unwrap();
    Options { template: path, ..options.clone() }
}

/// The functions behind the alias, by their logical ids.
struct Live {
    lambda: Lambda,
    names: BTreeMap<String, String>,
}

impl Live {
    async fn of(system: &System) -> Self {
        let template = Template::local();
        let functions = template.functions().into_iter();
        let names = join_all(
            functions.map(async |function| (function.to_owned(), system.resource(function).await)),
        );
        Self { lambda: Lambda::new(&system.stack.aws()), names: names.await.into_iter().collect() }
    }

    /// The versions that the aliases name.
    async fn versions(&self) -> BTreeMap<String, String> {
        let versions = self.names.iter().map(async |(function, name)| {
            let alias = self.lambda.get_alias().function_name(name).name(ALIAS).send().await;
            (function.clone(), alias.unwrap().function_version.unwrap())
        });
        join_all(versions).await.into_iter().collect()
    }

    /// Gives other versions this share of the calls.
    async fn share(&self, versions: &BTreeMap<String, String>, share: Option<f64>) {
        for (function, version) in versions {
            let mut routing = AliasRoutingConfiguration::builder();
            if let Some(share) = share {
                routing = routing.additional_version_weights(version, share);
            }
            let update = self.lambda.update_alias().function_name(&self.names[function]);
            update.name(ALIAS).routing_config(routing.build()).send().await.unwrap();
        }
    }
}

/// How often each version of a function was called so far.
async fn calls(system: &System, function: &str) -> BTreeMap<String, usize> {
    let logs = CloudWatchLogs::new(&system.stack.aws());
    let group = system.resource(&format!("{function}Logs")).await;
    let starts =
        logs.filter_log_events().log_group_name(group).filter_pattern("\"START RequestId\"");
    let pages: Vec<_> = starts.into_paginator().send().try_collect().await.unwrap();
    let mut calls = BTreeMap::new();
    for line in pages.into_iter().flat_map(|page| page.events.unwrap_or_default()) {
        // START RequestId: ID Version: VERSION
        let message = line.message.unwrap();
        let (_, version) = message.split_once("Version: ").unwrap();
        *calls.entry(version.trim().to_owned()).or_default() += 1;
    }
    calls
}

#[tokio::test]
#[ignore = "takes minutes: `cargo chaos` runs it"]
async fn old_and_new_functions_share_the_orders_while_they_replace_each_other() {
    let mut options = options("versions");
    // Few customers place all orders within minutes.
    options.parameters.insert("DeclinesPerCustomer".to_owned(), "1000".to_owned());
    // Functions of before authentication do not read orders whose customers were asked: it is
    // switched on once none is left.
    options.parameters.insert("AuthenticationReturnUrl".to_owned(), String::new());
    fs::create_dir_all(&options.state_dir).unwrap();
    let old = Release::before(&options).await;
    let new = Release::this(&options).await;
    let host = Host::start(&options).await.unwrap();
    let system = System::connect(&old.deploy(&host).await);
    let live = Live::of(&system).await;
    let old_versions = live.versions().await;

    let mut random = Rng::new();
    let customers = join_all((0..CUSTOMERS).map(|_| system.customer())).await;
    let shops = [shop_with_few_eclairs(&mut random)];
    system.open(&shops[0]).await;
    let plan: Vec<PlannedOrder> = (0..ORDERS)
        .map(|_| PlannedOrder::new(&customers, &shops, &mut random).undisputed())
        .collect();
    let (count, mut placed) = watch::channel(0);
    let ordering = async {
        let paced = stream::iter(&plan).then(async |planned| {
            sleep(PACE).await;
            planned
        });
        let orders = paced.map(|planned| planned.carry_out(&system, &count));
        orders.buffer_unordered(AT_ONCE).collect::<Vec<Option<String>>>().await
    };
    let replacing = async {
        let mut after = async |part| {
            let reached = placed.wait_for(|placed| placed * 6 >= ORDERS * part).await;
            reached.map(drop).unwrap();
        };
        after(1).await;
        new.deploy(&host).await;
        let new_versions = live.versions().await;
        let mut replaced = old_versions.clone();
        replaced.retain(|function, version| new_versions[function] != *version);
        after(2).await;
        live.share(&replaced, Some(0.5)).await;
        after(4).await;
        live.share(&replaced, None).await;
        let mut shared = BTreeMap::new();
        for (function, version) in &replaced {
            let calls = calls(&system, function).await;
            let of = |version| calls.get(version).copied().unwrap_or(0);
            shared.insert(function.clone(), (of(version), of(&new_versions[function])));
        }
        old.deploy(&host).await;
        after(5).await;
        new.deploy(&host).await;
        shared
    };
    let (wrong_answers, shared) = join!(ordering, replacing);

    let (books, unsettled) = Books::settled(&system).await;
    let crashes = crashes(&options);
    let mut audit = books.audit(&plan, &shops, &Poison::default(), &crashes);
    audit.violations.extend(wrong_answers.into_iter().flatten().chain(unsettled));
    assert!(audit.violations.is_empty(), "{}", audit.violations.join("\n"));
    report::say(&format!("calls that a deployment interrupted: {crashes:?}"));
    for (function, (old, new)) in &shared {
        report::say(&format!("{function}: {old} calls of the old version, {new} of the new one"));
        assert!(function == "Books" || (*old > 0 && *new > 0), "{function} was not shared");
    }
}
