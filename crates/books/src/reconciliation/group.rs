//! The differences of one order, which have one cause and one remedy.

use std::collections::BTreeMap;

use shop::id::OrderId;

use super::difference::Difference;
use crate::journal::{Entry, Settlements};

/// All differences of an order, or one that is about no order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group<'a> {
    pub open: Vec<&'a Difference>,
    /// Those that were settled by hand, each with the entry of the journal.
    pub settled: Vec<(&'a Difference, &'a Entry)>,
}

impl<'a> Group<'a> {
    /// Groups differences by order. Groups stand in the order of their first differences.
    #[must_use]
    pub fn all(differences: &'a [Difference], settlements: &'a Settlements) -> Vec<Self> {
        let mut groups: Vec<Self> = Vec::new();
        let mut places: BTreeMap<OrderId, usize> = BTreeMap::new();
        for difference in differences {
            let next = groups.len();
            let place = difference.order().map_or(next, |it| *places.entry(it).or_insert(next));
            if place == next {
                groups.push(Self::default());
            }
            match settlements.get(&difference.key()) {
                Some(entry) => groups[place].settled.push((difference, entry)),
                None => groups[place].open.push(difference),
            }
        }
        groups
    }

    /// What to do about the open differences, if there are any: one thing, after which those that
    /// are left say what comes next.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        let first = self.open.iter().min_by_key(|difference| urgency(difference))?;
        let is_known = !self.settled.is_empty() && urgency(first) > 0;
        Some(if is_known {
            let settle = first.settling();
            format!(
                "something about this order was settled by hand: if that puts this right too, run \
                 {settle}"
            )
        } else {
            first.remedy()
        })
    }
}

/// The place of a difference among those of its order, the one to begin with first: what was done
/// twice, then what the system can still do by itself, then what only somebody can do.
fn urgency(difference: &Difference) -> u8 {
    match difference {
        Difference::GivenBackTwice { .. } => 0,
        Difference::Stuck { .. } => 1,
        Difference::PaymentState { status, .. } if status.ended_early() => 2,
        Difference::StillHeld { .. } | Difference::RefundUnmade { .. } => 3,
        Difference::NoIntent { .. } | Difference::NoOrder { .. } => 4,
        Difference::Kept { .. } => 5,
        Difference::Price { .. } => 6,
        Difference::Provider { .. } | Difference::UnknownIntent { .. } => 7,
        Difference::PaymentState { .. } | Difference::PaymentField { .. } => 8,
        Difference::NotHeld { .. } => 9,
        Difference::Held { .. } | Difference::Unreadable(_) | Difference::UnreadableObject(_) => 10,
    }
}
