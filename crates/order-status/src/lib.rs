//! Applies the reports of inventory and payment to orders, and expires them at their deadlines.

pub mod handler;
