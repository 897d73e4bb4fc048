//! A deterministic simulation of the whole system: the real handlers and the real batch runner, on
//! tables, queues, a bus and a payment provider in memory, under every kind of misfortune.
//!
//! All chance of a run follows from its seed. Time is virtual. One thread runs everything: at each
//! call through a port, other tasks may go first, the call may fail or lose its answer, and the
//! invocation may die.
//!
//! Each row of this table depends only on the rows above it:
//!
//! | | |
//! |---|---|
//! | `engine` | time, luck, tasks, and calls that can fail |
//! | `transport` | queues, rules and the stream, as `template.yaml` deploys them |
//! | `observation`, `violation` | what is observed of a run, and the rules that must hold |
//! | `checks` | one check for each concern, which sees observations only |
//! | `world` | everything that functions and people share |
//! | `ports`, `functions` | the functions on ports of the world |
//! | `workload` | what customers, shops and operators do |
//! | `scheduler` | what happens next |
//! | [`outages`] | what an outage costs orders |
//! | [`losses`] | what the bus or the queues have lost, and what brings it back |
//! | `telemetry` | what CloudWatch gets to know about a run |
//! | [`alarms`] | the fault that each alarm is for, and how soon it is noticed |
//! | [`run`] | one seed, from the first order to the last check |
//! | [`campaign`] | many seeds |
//! | [`fault`] | deliberate faults, each of which must be caught |

mod checks;
mod engine;
mod functions;
mod observation;
mod ports;
mod scheduler;
mod telemetry;
mod transport;
mod violation;
mod workload;
mod world;

pub mod alarms;
pub mod campaign;
pub mod fault;
pub mod losses;
pub mod outages;
pub mod run;

pub use violation::{Rule, Violation};
