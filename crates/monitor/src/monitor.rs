//! The states of all alarms as time passes.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::{definition::Alarms, metric::Figures, state::State};

/// All alarms with their states, which begin as CloudWatch's do: with insufficient data.
#[derive(Debug)]
pub struct Monitor {
    alarms: Alarms,
    states: BTreeMap<String, State>,
}

/// An alarm that went into another state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The alarm's logical id.
    pub alarm: String,
    /// Its state before.
    pub from: State,
    /// Its state from then on.
    pub to: State,
    /// When it was evaluated.
    pub at: Timestamp,
}

impl Monitor {
    /// A monitor of these alarms.
    #[must_use]
    pub fn new(alarms: Alarms) -> Self {
        let metric = alarms.metric.iter().map(|alarm| &alarm.id);
        let all = metric.chain(alarms.composite.iter().map(|alarm| &alarm.id));
        let states = all.map(|id| (id.clone(), State::InsufficientData)).collect();
        Self { alarms, states }
    }

    /// The alarms.
    #[must_use]
    pub fn alarms(&self) -> &Alarms {
        &self.alarms
    }

    /// The state of an alarm.
    ///
    /// # Panics
    /// When there is no such alarm.
    #[must_use]
    pub fn state(&self, alarm: &str) -> State {
        self.states[alarm]
    }

    /// Evaluates all alarms by what is known at `now`, and returns those whose state changed.
    /// CloudWatch does so every minute.
    pub fn evaluate(&mut self, figures: &Figures, now: Timestamp) -> Vec<Change> {
        let Self { alarms, states } = self;
        let mut changes = Vec::new();
        let mut change = |states: &mut BTreeMap<String, State>, alarm: &str, to| {
            let state = states.get_mut(alarm).expect("the alarm's state");
            let from = std::mem::replace(state, to);
            if from != to {
                changes.push(Change { alarm: alarm.to_owned(), from, to, at: now });
            }
        };
        for alarm in &alarms.metric {
            let next = alarm.next(figures, now, states[&alarm.id]);
            change(states, &alarm.id, next);
        }
        for alarm in &alarms.composite {
            let next = alarm.state(&|other| states[other]);
            change(states, &alarm.id, next);
        }
        changes
    }
}
