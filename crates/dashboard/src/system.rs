//! How the system does: functions, queues and errors.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jiff::Timestamp;
use resources::{Template, target};
use serde_json::Value;
use stack::{Level, LogLine};

use crate::depth::Depth;

/// The number of different errors that are kept.
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
    /// The names of the queues by the logical ids of the mappings that empty them.
    mappings: BTreeMap<String, String>,
    /// The logical ids of the mappings that somebody has disabled.
    disabled: BTreeSet<String>,
    /// Each once, the last to occur first.
    pub(crate) errors: VecDeque<Failure>,
}

/// An error that a function reports.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) function: String,
    /// What it reports.
    pub(crate) what: String,
    pub(crate) times: u64,
    /// When it occurred last.
    pub(crate) last: Timestamp,
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
    /// Whether no function takes its messages, because its mapping is disabled.
    pub(crate) disabled: bool,
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
            mappings: mappings(template),
            disabled: BTreeSet::new(),
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
        self.report(line);
        !line.fields().is_some_and(|fields| fields.contains_key("level"))
    }

    fn report(&mut self, line: &LogLine) {
        let what = what(line);
        let same = |it: &Failure| it.function == line.function && it.what == what;
        let known = self.errors.iter().position(same).and_then(|place| self.errors.remove(place));
        let times = known.map_or(0, |known| known.times) + 1;
        let function = line.function.clone();
        self.errors.push_front(Failure { function, what, times, last: line.at });
        self.errors.truncate(NEWEST);
    }

    /// Replaces what is known about mappings: the logical ids of those that are disabled.
    pub(crate) fn disable(&mut self, mappings: BTreeSet<String>) {
        self.disabled = mappings;
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
        let disabled = |name: &str| {
            self.disabled.iter().any(|it| self.mappings.get(it).is_some_and(|of| of == name))
        };
        let feeding = self.queues.iter().filter_map(|(id, depth)| {
            let name = id.strip_suffix(QUEUE)?;
            Some(Queue {
                name: name.to_lowercase(),
                depth: Some(*depth),
                dead: dead(name),
                disabled: disabled(name),
            })
        });
        let others = self.queues.keys().filter_map(|id| {
            let name = id.strip_suffix(DEAD_LETTERS)?;
            let feeds = self.queues.contains_key(&format!("{name}{QUEUE}"));
            (!feeds).then(|| Queue {
                name: name.to_lowercase(),
                depth: None,
                dead: dead(name),
                disabled: disabled(name),
            })
        });
        feeding.chain(others).collect()
    }
}

/// The names of the queues that mappings empty, by the mappings' logical ids. That of a stream has
/// the name of the queue for its dead letters.
fn mappings(template: &Template) -> BTreeMap<String, String> {
    let mappings = template.all("AWS::Lambda::EventSourceMapping").into_iter();
    let named = mappings.filter_map(|(id, mapping)| {
        let source = target(&mapping["EventSourceArn"]);
        let name = match source.strip_suffix(QUEUE) {
            Some(name) => name,
            None => target(&mapping["DestinationConfig"]["OnFailure"]["Destination"])
                .strip_suffix(DEAD_LETTERS)?,
        };
        Some((id.to_owned(), name.to_owned()))
    });
    named.collect()
}

/// What a line reports: its message with the reason, or all of it if the function crashed.
fn what(line: &LogLine) -> String {
    let fields = line.fields().unwrap_or_default();
    let text = |name| fields.get(name).and_then(Value::as_str);
    let reported: Vec<_> = ["message", "error", "reason"].into_iter().filter_map(text).collect();
    if reported.is_empty() { line.message.trim().to_owned() } else { reported.join(": ") }
}
