//! Stripe's own client for Python drives the sandbox, so that the sandbox is held to a client that
//! was not written for it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{path::Path, process::Stdio};

use local::{Progress, python_environment, sandbox::serve};
use tokio::{net::TcpListener, process::Command};

const SECRET: &str = "sk_test_sandbox";

#[tokio::test]
async fn stripes_own_client_finds_the_sandbox_as_it_expects_stripe() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stripe_client");
    let requirements = "crates/local/tests/stripe_client/requirements.txt";
    let python =
        python_environment("stripe-client-python", requirements, Progress::Shown).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(serve(listener, SECRET.into(), std::future::pending()));

    let tests = Command::new(python)
        .args(["-m", "unittest"])
        .args([
            "test_types",
            "test_intents",
            "test_cards",
            "test_refunds",
            "test_disputes",
            "test_failures",
        ])
        .current_dir(here)
        .envs([("STRIPE_URL", url.as_str()), ("STRIPE_KEY", SECRET)])
        .env("NO_PROXY", "127.0.0.1")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    assert!(tests.status.success(), "{}", String::from_utf8_lossy(&tests.stderr));
}
