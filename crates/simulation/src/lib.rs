//! A deterministic simulation of the whole system: the real handlers and the real batch runner, on
//! tables, queues, a bus and a payment provider in memory, under every kind of bad luck.
//!
//! All chance of a run follows from its seed. Time is virtual. One thread runs everything: each
//! call through a port is a point at which others may go first, the call may fail or lose its
//! answer, and its invocation may die.
//!
//! | | |
//! |---|---|
//! | [`run`] | one seed, from the first order to the last check |
//! | `scheduler`, `call`, `luck` | who goes on next, and what goes wrong |
//! | `world`, `queue`, `stream`, `port`, `topology` | what the functions run on, wired as `template.yaml` has it |
//! | `function` | the functions, wired as their `main` wires them |
//! | `workload` | what customers, shops and operators do |
//! | `checker` | the invariants |
//! | [`campaign`] | many seeds |
//! | [`fault`] | deliberate faults, each of which has to be noticed |

mod call;
mod checker;
mod function;
mod luck;
mod port;
mod queue;
mod scheduler;
mod story;
mod stream;
mod topology;
mod workload;
mod world;

pub mod campaign;
pub mod fault;
pub mod run;

pub use checker::{Broken, Rule};
