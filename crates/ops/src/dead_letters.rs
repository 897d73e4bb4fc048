//! The dead-letter queues of a stack, their messages, and what can be done with each.

mod letter;
mod queues;
mod record;
mod remedy;
#[cfg(test)]
mod tests;

pub(crate) use letter::{Content, DeadLetter, StreamGap};
pub(crate) use queues::{DeadLetterQueue, DeadLetterQueues, INTENTS, NOTICES, Visit, WorkQueue};
pub(crate) use remedy::Remedy;
