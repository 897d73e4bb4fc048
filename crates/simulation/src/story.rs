//! What happened in a run, for people to read.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fmt,
    io::{self, Write},
};

use jiff::Timestamp;
use shop::id::OrderId;

/// The most of a line that is told: whole rows are more than anybody reads.
const MAX_LINE: usize = 160;

/// Tells what happens while it happens, or keeps silent.
#[derive(Debug)]
pub(crate) struct Story {
    told: bool,
    names: RefCell<BTreeMap<OrderId, String>>,
}

impl Story {
    pub(crate) fn new(told: bool) -> Self {
        Self { told, names: RefCell::default() }
    }

    /// Gives an order a name that is easier to follow than its id.
    pub(crate) fn name(&self, order: OrderId, name: String) {
        self.names.borrow_mut().insert(order, name);
    }

    /// The order's name.
    pub(crate) fn of(&self, order: OrderId) -> String {
        self.names.borrow().get(&order).cloned().unwrap_or_else(|| order.to_string())
    }

    pub(crate) fn tell(
        &self,
        at: Timestamp,
        who: impl fmt::Display,
        what: impl FnOnce() -> String,
    ) {
        if !self.told {
            return;
        }
        let mut what = what();
        for (order, name) in &*self.names.borrow() {
            what = what.replace(&order.to_string(), name);
        }
        if let Some((end, _)) = what.char_indices().nth(MAX_LINE) {
            what.truncate(end);
            what.push('…');
        }
        let line = format!("{} {:22} {what}\n", at.strftime("%d %H:%M:%S%.3f"), who.to_string());
        // Who has stopped reading wants no more of it.
        io::stdout().write_all(line.as_bytes()).ok();
    }
}
