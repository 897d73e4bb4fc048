//! A short simulation, which takes seconds. Mutation testing runs it instead of the long one; see
//! `.cargo/mutants.toml`.

use simulation::campaign::{Campaign, Extent};

#[test]
fn the_invariants_hold_in_the_first_300_runs() {
    let campaign = Campaign::run(Extent { first: 0, runs: 300, time: None, until_failure: false });
    let seeds: Vec<_> = campaign.failures.iter().map(|(seed, _)| seed).collect();
    assert!(seeds.is_empty(), "cargo simulate --seed {seeds:?} --trace");
}
