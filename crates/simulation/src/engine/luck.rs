//! The random numbers of a run, all of which follow from its seed.

use std::cell::{Cell, RefCell};

use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};

/// How likely each misfortune is, in cases per 1,000.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Odds {
    /// An invocation dies at a call.
    pub(crate) dies: u32,
    /// A call fails before it has any effect.
    pub(crate) fails: u32,
    /// A call has its effect, but its answer is lost.
    pub(crate) loses_answer: u32,
    /// A call fails and has its effect afterwards.
    pub(crate) acts_late: u32,
    /// A call is repeated on its way, and the second answer arrives.
    pub(crate) acts_twice: u32,
    /// A call takes seconds.
    pub(crate) is_slow: u32,
    /// The code around a call panics.
    pub(crate) panics: u32,
    /// Time passes although there is something to do.
    pub(crate) time_flies: u32,
    /// A message is delivered late.
    pub(crate) late_message: u32,
    /// A message is delivered twice.
    pub(crate) doubled_message: u32,
    /// A message that is being handled is received again.
    pub(crate) shared_message: u32,
}

/// A seed's random numbers.
#[derive(Debug)]
pub(crate) struct Luck {
    rng: RefCell<Rng>,
    odds: Odds,
    grain: i64,
    is_calm: Cell<bool>,
}

impl Luck {
    /// Draws the odds of a run. Each misfortune is left out of a third of all runs, since one that
    /// is always there can hide what only shows without it.
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        // One run in sixteen has no misfortune at all.
        let bad = rng.u32(0..16) > 0;
        let mut odds = |worst: u32| {
            let (drawn, share) = (rng.u32(0..3) > 0, rng.f64());
            if bad && drawn { 1 + (f64::from(worst) * share * share) as u32 } else { 0 }
        };
        let odds = Odds {
            dies: odds(40),
            fails: odds(120),
            loses_answer: odds(80),
            acts_late: odds(60),
            acts_twice: odds(60),
            is_slow: odds(80),
            panics: odds(15),
            time_flies: odds(250),
            late_message: odds(400),
            doubled_message: odds(300),
            shared_message: odds(150),
        };
        let grain = [1, 1, 1_000, 10_000, 60_000][rng.usize(0..5)];
        Self { rng: RefCell::new(rng), odds, grain, is_calm: Cell::new(false) }
    }

    /// A run in which nothing goes wrong by itself.
    pub(crate) fn undisturbed(seed: u64) -> Self {
        let rng = RefCell::new(Rng::with_seed(seed));
        Self { rng, odds: Odds::default(), grain: 1, is_calm: Cell::new(false) }
    }

    /// When something happens that is due `at`. In many runs it is put off to the next second or
    /// minute: things that happen at the same moment interfere with each other.
    pub(crate) fn due(&self, at: Timestamp) -> Timestamp {
        let late = at.as_millisecond().rem_euclid(self.grain);
        if late == 0 { at } else { at + SignedDuration::from_millis(self.grain - late) }
    }

    /// The odds of the run, all zero once it is calm.
    pub(crate) fn odds(&self) -> Odds {
        if self.is_calm() { Odds::default() } else { self.odds }
    }

    /// Ends all misfortune: from now on every call succeeds at once.
    pub(crate) fn calm(&self) {
        self.is_calm.set(true);
    }

    pub(crate) fn is_calm(&self) -> bool {
        self.is_calm.get()
    }

    /// A number below `end`, which must not be 0.
    pub(crate) fn below(&self, end: usize) -> usize {
        self.rng.borrow_mut().usize(0..end)
    }

    /// A number between `from` and `to`, both included.
    pub(crate) fn between(&self, from: i64, to: i64) -> i64 {
        self.rng.borrow_mut().i64(from..=to)
    }

    /// True in `per_mille` of 1,000 cases.
    pub(crate) fn chance(&self, per_mille: u32) -> bool {
        per_mille > 0 && self.rng.borrow_mut().u32(0..1_000) < per_mille
    }

    pub(crate) fn pick<'a, T>(&self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }

    /// A time up to `longest`, more often short than long: every order of magnitude from
    /// milliseconds on is equally likely.
    pub(crate) fn wait(&self, longest: SignedDuration) -> SignedDuration {
        let longest = milliseconds(longest);
        let magnitude = self.between(0, i64::from(longest.max(2).ilog2()));
        SignedDuration::from_millis(self.between(0, (1 << magnitude).min(longest)))
    }

    /// A time up to `longest`, each equally likely.
    pub(crate) fn time(&self, longest: SignedDuration) -> SignedDuration {
        SignedDuration::from_millis(self.between(0, milliseconds(longest)))
    }
}

fn milliseconds(time: SignedDuration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}
