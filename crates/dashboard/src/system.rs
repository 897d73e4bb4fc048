//! How the system does: functions, queues and errors.

use std::collections::{BTreeMap, VecDeque};

use resources::Template;
use stack::{Level, LogLine};

use crate::depth::Depth;

/// The number of errors that are kept.
const NEWEST: usize = 100;

/// The ends of the logical ids of queues: of those that feed functions, and of dead letters.
const QUEUE: &str = "Queue";
const DEAD_LETTERS: &str = "DeadLetters";

/// What is known about functions and queues.
#[derive(Debug)]
pub(crate) struct System {
    /// By the name of the function.
    pub(crate) functions: BTreeMap<String, Function>,
    /// By the logical id of the queue.
    queues: BTreeMap<String, Depth>,
    /// The newest first.
    pub(crate) errors: VecDeque<LogLine>,
}

/// The log lines of a function.
#[derive(Clone, Debug, Default)]
pub(crate) struct Function {
    pub(crate) lines: u64,
    pub(crate) warnings: u64,
    pub(crate) errors: u64,
}

/// A queue that feeds a function, and its dead letters; or dead letters of no queue.
#[derive(Clone, Debug)]
pub(crate) struct Queue {
    pub(crate) name: String,
    pub(crate) depth: Option<Depth>,
    pub(crate) dead: u64,
}

impl System {
    /// The functions and queues of a template, with nothing known about them.
    pub(crate) fn new(template: &Template) -> Self {
        let functions = template.functions().into_iter();
        let functions = functions.map(|id| (template.crate_of(id).to_owned(), Function::default()));
        let queues = template.ids("AWS::SQS::Queue").into_iter();
        Self {
            functions: functions.collect(),
            queues: queues.map(|id| (id.to_owned(), Depth::default())).collect(),
            errors: VecDeque::new(),
        }
    }

    /// Counts a line, and returns whether it is about an invocation that failed: one that crashed
    /// or took too long, about which Lambda writes, and not the function.
    pub(crate) fn add(&mut self, line: &LogLine) -> bool {
        let function = self.functions.entry(line.function.clone()).or_default();
        function.lines += 1;
        match line.level() {
            Level::Error => function.errors += 1,
            Level::Warn => {
                function.warnings += 1;
                return false;
            }
            _ => return false,
        }
        self.errors.push_front(line.clone());
        self.errors.truncate(NEWEST);
        !line.fields().is_some_and(|fields| fields.contains_key("level"))
    }

    /// Replaces what is known about a queue of the template.
    pub(crate) fn measure(&mut self, id: &str, depth: Depth) {
        if let Some(known) = self.queues.get_mut(id) {
            *known = depth;
        }
    }

    /// All queues by their logical ids.
    pub(crate) fn depths(&self) -> impl Iterator<Item = (&str, &Depth)> {
        self.queues.iter().map(|(id, depth)| (id.as_str(), depth))
    }

    /// The queues that feed functions, and then the dead letters of stream and rules.
    pub(crate) fn queues(&self) -> Vec<Queue> {
        let dead = |name: &str| {
            let letters = self.queues.get(&format!("{name}{DEAD_LETTERS}"));
            letters.map_or(0, |depth| depth.waiting + depth.in_flight)
        };
        let feeding = self.queues.iter().filter_map(|(id, depth)| {
            let name = id.strip_suffix(QUEUE)?;
            Some(Queue { name: name.to_lowercase(), depth: Some(*depth), dead: dead(name) })
        });
        let others = self.queues.keys().filter_map(|id| {
            let name = id.strip_suffix(DEAD_LETTERS)?;
            let feeds = self.queues.contains_key(&format!("{name}{QUEUE}"));
            (!feeds).then(|| Queue { name: name.to_lowercase(), depth: None, dead: dead(name) })
        });
        feeding.chain(others).collect()
    }
}
