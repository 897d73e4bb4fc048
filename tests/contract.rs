//! The running system answers as the document of its API says. schemathesis makes thousands of
//! valid and invalid requests from the document.
//!
//! That takes minutes, so `cargo test` leaves it out and `cargo test --test contract` runs it. The
//! requests are always the same, unless the environment variable `SEED` asks for others.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use local::{Options, Progress, Running, python_environment};
use resources::Template;
use serde_json::Value;
use tokio::process::Command;

/// The least number of requests.
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
        // It keeps its results in the working directory.
        .current_dir(&state)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    if let Ok(seed) = env::var("SEED") {
        schemathesis.args(["--seed", &seed]);
    }
    let status = schemathesis.status().await.unwrap();
    assert!(
        status.success(),
        "answers differ from openapi.json; the output of schemathesis above says where"
    );

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
    // Each operation has also accepted requests, not only refused them.
    for route in Template::local().routes() {
        let phases = report["valid_rates"][route.key].as_object().unwrap();
        let accepted = phases.values().filter_map(|rates| rates["accepted"].as_u64()).sum::<u64>();
        assert!(accepted > 0, "{}: {phases:?}", route.key);
    }
}
