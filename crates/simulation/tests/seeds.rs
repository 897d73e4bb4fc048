//! 20,000 seeds, and evidence that they cover what can happen.

use simulation::{
    campaign::{Campaign, Extent},
    run::{Verbosity, run},
};

#[test]
fn all_rules_hold_in_20_000_runs() {
    let campaign =
        Campaign::run(Extent { first: 0, runs: 20_000, time: None, until_failure: false });
    let failures: Vec<_> = campaign
        .failures
        .iter()
        .map(|(seed, failure)| {
            format!("seed {seed}: {failure}\n  cargo simulate --seed {seed} --trace")
        })
        .collect();
    assert!(
        failures.is_empty(),
        "{} of {} runs failed\n{}",
        failures.len(),
        campaign.runs,
        failures.join("\n")
    );

    // Few runs are alike, and orders reach every possible end many times.
    assert!(campaign.schedules > 19_900, "{} schedules", campaign.schedules);
    for end in [
        "Confirmed/Captured",
        "Preparing/Captured",
        "Ready/Captured",
        "Collected/Captured",
        "Rejected/None",
        "Cancelled/None",
        "Cancelled/Voided",
        "Cancelled/Refunded",
        "Cancelled/RefundFailed",
        "Expired/None",
        "Expired/Voided",
        "Expired/Refunded",
    ] {
        let orders = campaign.ends.get(end).copied().unwrap_or(0);
        assert!(orders >= 20, "{orders} orders ended as {end}");
    }
}

#[test]
fn a_seed_always_runs_the_same_way() {
    for seed in 0..50 {
        let (first, second) = (run(seed, Verbosity::Silent), run(seed, Verbosity::Silent));
        assert_eq!((first.schedule, first.steps), (second.schedule, second.steps), "seed {seed}");
    }
}
