//! Property tests of everything that comes from outside: requests, queue messages, stream records
//! and answers of the payment provider.
//!
//! Each input is a valid one that is corrupted in a few places, so it gets past the first check,
//! which stops mere noise. No input may cause a panic, get lost, or be read as something else.
//! `PROPTEST_CASES` is the number of inputs per test.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod corrupted;
mod provider;
mod queues;
mod requests;
mod stream;

use std::{
    fs,
    future::Future,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use serde_json::Value;
use tokio::runtime::Runtime;

/// A runtime for servers and clients that outlive a single case.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

fn block_on<T>(future: impl Future<Output = T>) -> T {
    RUNTIME.block_on(future)
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read_json(path: &str) -> Value {
    serde_json::from_slice(&fs::read(repository().join(path)).unwrap()).unwrap()
}
