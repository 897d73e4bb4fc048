//! Runs many seeds on all processors.

use std::{
    collections::{BTreeMap, HashSet},
    panic::catch_unwind,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use crate::run::{Outcome, Verbosity, run};

/// Which seeds to run.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    /// The first seed; the others follow one by one.
    pub first: u64,
    /// The most runs.
    pub runs: u64,
    /// The longest time; runs that have started by then are finished.
    pub time: Option<Duration>,
    /// Whether to stop at the first failure.
    pub until_failure: bool,
}

/// The results of many runs.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Campaign {
    /// The number of runs.
    pub runs: u64,
    /// The number of different schedules among them.
    pub schedules: usize,
    /// The number of steps of all runs.
    pub steps: u64,
    /// How many orders ended in each pair of status and payment status.
    pub ends: BTreeMap<String, u64>,
    /// The seeds that failed, each with the reason.
    pub failures: Vec<(u64, String)>,
    pub elapsed: Duration,
}

impl Campaign {
    /// Runs the seeds of `extent`.
    #[must_use]
    pub fn run(extent: Extent) -> Self {
        let start = Instant::now();
        let (next, over, seen) = (
            AtomicU64::new(0),
            AtomicBool::new(false),
            Mutex::new((Self::default(), HashSet::new())),
        );
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let work = || {
            while !over.load(Ordering::Relaxed)
                && extent.time.is_none_or(|time| start.elapsed() < time)
            {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= extent.runs {
                    return;
                }
                let seed = extent.first + number;
                let outcome = catch_unwind(|| run(seed, Verbosity::Silent));
                let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                let (campaign, schedules) = &mut *seen;
                campaign.runs += 1;
                let failure = match outcome {
                    Ok(Outcome { violation, schedule, steps, ends, .. }) => {
                        for (end, orders) in ends {
                            *campaign.ends.entry(end).or_default() += orders;
                        }
                        schedules.insert(schedule);
                        campaign.steps += steps;
                        violation.map(|violation| violation.to_string())
                    }
                    Err(_) => Some("it panicked".to_owned()),
                };
                if let Some(failure) = failure {
                    campaign.failures.push((seed, failure));
                    over.fetch_or(extent.until_failure, Ordering::Relaxed);
                }
            }
        };
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(work);
            }
        });
        let (mut campaign, schedules) = seen.into_inner().unwrap_or_else(PoisonError::into_inner);
        campaign.failures.sort();
        Self { schedules: schedules.len(), elapsed: start.elapsed(), ..campaign }
    }
}
