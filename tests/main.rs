//! End-to-end tests: the real functions, deployed from `template.yaml` to the embedded AWS, are
//! driven through the API and checked through tables, queues, logs and mails.
//!
//! Most tests share one stack, in which each has its own customers and shops. Tests that break
//! something have a stack of their own.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod audit;
mod authentication;
mod authorization;
mod bad_input;
mod books;
mod cancel;
mod chaos;
mod conformance;
mod denials;
mod disputes;
mod duplicates;
mod expiry;
mod frozen;
mod harness;
mod import;
mod notices;
mod operators;
mod ordering;
mod outage;
mod parameters;
mod payments;
mod pickup;
mod poison;
mod privacy;
mod process;
mod processes;
mod profiles;
mod redrive;
mod refunds;
mod repair;
mod replay;
mod samples;
mod sizes;
mod standing;
mod stock;
mod telemetry;
mod unreadable_rows;
