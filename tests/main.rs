//! The whole system, from outside: real functions, deployed from the real template to the embedded
//! AWS, driven through the API and seen through what they leave behind.
//!
//! Most tests share one stack and get their own customers and shops in it. Those that break
//! something have a stack of their own.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod audit;
mod authorization;
mod bad_input;
mod cancel;
mod chaos;
mod conformance;
mod denials;
mod duplicates;
mod expiry;
mod harness;
mod ordering;
mod payments;
mod poison;
mod process;
mod processes;
mod repair;
mod samples;
mod stock;
