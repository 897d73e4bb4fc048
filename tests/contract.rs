//! The running system, held to the document of its API by thousands of requests that schemathesis
//! makes from it, good ones and bad ones. That takes minutes, so that `cargo test` leaves it out:
//! `cargo test --test contract` runs it, always with the same requests, and with others when the
//! environment has a `SEED`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use local::{Options, Progress, Running, python_environment};
use serde_json::Value;
use tokio::process::Command;

/// How many requests it takes at least.
const REQUESTS: u64 = 5_000;

#[tokio::test]
async fn the_api_answers_thousands_of_requests_as_its_document_says() {
    let python =
        python_environment("contract-python", "tests/contract/requirements.txt", Progress::Shown)
            .await
            .unwrap();
    let state = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("contract");
    let running = Running::start(&Options::new(&state)).await.unwrap();
    let report = state.join("report.json");
    let _ = fs::remove_file(&report);

    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut schemathesis = Command::new(python.with_file_name("st"));
    schemathesis
        .arg("--config-file")
        .arg(here.join("contract/schemathesis.toml"))
        .arg("run")
        .arg(here.join("../crates/order-intake/openapi.json"))
        .args(["--url", &running.stack.api_url, "--report-json-path"])
        .arg(&report)
        .env("TOKEN", running.stack.token("ada", false).await.unwrap())
        // Where it keeps what it has found out.
        .current_dir(&state)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    if let Ok(seed) = env::var("SEED") {
        schemathesis.args(["--seed", &seed]);
    }
    let status = schemathesis.status().await.unwrap();
    assert!(status.success(), "the document and the answers differ; schemathesis says above where");

    let report: Value = serde_json::from_slice(&fs::read(&report).unwrap()).unwrap();
    let requests = report["test_cases"]["generated"].as_u64().unwrap();
    assert!(
        requests >= REQUESTS,
        "only {requests} requests: raise max-examples in schemathesis.toml"
    );
    assert_eq!(
        report["operations"]["tested"], report["operations"]["total"],
        "{}",
        report["operations"]
    );
    // It is not the refusals alone that were looked at.
    for operation in [
        "POST /orders",
        "POST /orders/{id}/cancel",
        "GET /orders/{id}",
        "GET /orders",
        "GET /menu/{location}",
    ] {
        let rates = &report["valid_rates"][operation];
        assert!(
            rates["fuzzing"]["accepted"].as_u64().is_some_and(|accepted| accepted > 0),
            "{operation}: {rates}"
        );
    }
}
