//! What happens in a run, as lines for people to read.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fmt,
    io::{self, Write},
};

use jiff::Timestamp;

/// How much of a run is printed while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verbosity {
    /// Nothing.
    Silent,
    /// Every step, to standard output.
    Trace,
}

/// The longest line: whole rows are too long to read.
const MAX_LINE: usize = 160;

#[derive(Debug)]
pub(crate) struct Trace {
    verbosity: Verbosity,
    names: RefCell<BTreeMap<String, String>>,
}

impl Trace {
    pub(crate) fn new(verbosity: Verbosity) -> Self {
        Self { verbosity, names: RefCell::default() }
    }

    /// Prints `name` wherever `id` would appear.
    pub(crate) fn name(&self, id: impl fmt::Display, name: String) {
        self.names.borrow_mut().insert(id.to_string(), name);
    }

    /// `text` with the names of all ids in it.
    pub(crate) fn with_names(&self, mut text: String) -> String {
        for (id, name) in &*self.names.borrow() {
            if text.contains(id) {
                text = text.replace(id, name);
            }
        }
        text
    }

    pub(crate) fn line(
        &self,
        at: Timestamp,
        who: impl fmt::Display,
        what: impl FnOnce() -> String,
    ) {
        if self.verbosity == Verbosity::Silent {
            return;
        }
        let mut what = self.with_names(what());
        if let Some((end, _)) = what.char_indices().nth(MAX_LINE) {
            what.truncate(end);
            what.push('…');
        }
        let line = format!("{} {:22} {what}\n", at.strftime("%d %H:%M:%S%.3f"), who.to_string());
        // A reader that closed the pipe, such as `head`, has seen enough.
        io::stdout().write_all(line.as_bytes()).ok();
    }
}
