//! Whatever comes from outside: requests, messages of queues, records of the stream, answers of the
//! payment provider.
//!
//! Each is made from one that is as it should be, spoiled in a few places, so that it gets past the
//! first check that would stop mere noise. Nothing may panic, get lost or be taken for what it is
//! not. `PROPTEST_CASES` says how many are tried.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod provider;
mod queues;
mod requests;
mod spoiled;
mod stream;

use std::{
    fs,
    future::Future,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use serde_json::Value;
use tokio::runtime::Runtime;

/// Runs for as long as the tests do, for what has to outlive each single case.
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
