//! The seeds that always run, and what makes them worth running.

use simulation::{
    campaign::{Campaign, Extent},
    run::{Telling, run},
};

#[test]
fn nothing_is_lost_charged_twice_or_sold_twice_in_20_000_runs() {
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

    // Hardly two runs are alike, and all ends that an order can have are reached again and again.
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
        let (first, second) = (run(seed, Telling::Silent), run(seed, Telling::Silent));
        assert_eq!((first.schedule, first.steps), (second.schedule, second.steps), "seed {seed}");
    }
}
