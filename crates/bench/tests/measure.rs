//! Measures with the smallest effort: figures from development builds mean nothing, but every step
//! of a measurement is taken.

#![allow(clippy::unwrap_used, reason = "a helper of a test may fail as the test itself may")]

use std::{path::PathBuf, process::Command};

use local::{Binaries, Progress};

/// Builds the functions and the floor in the development profile, and returns their directory.
async fn binaries() -> PathBuf {
    let binaries = Binaries::build(&["floor"], Progress::Silent).await.unwrap();
    binaries.path("floor").unwrap().parent().unwrap().to_owned()
}

/// The table's cells by row, without the header.
async fn measure(arguments: &[&str]) -> Vec<Vec<String>> {
    let measured = Command::new(env!("CARGO_BIN_EXE_bench"))
        .args(arguments)
        .arg("--binaries")
        .arg(binaries().await)
        .output()
        .unwrap();
    let (output, errors) =
        (String::from_utf8(measured.stdout).unwrap(), String::from_utf8(measured.stderr).unwrap());
    assert!(measured.status.success(), "{errors}");
    let rows = output.lines().filter(|line| line.starts_with("| ")).skip(1);
    rows.map(|row| row.split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}

#[tokio::test]
async fn the_floor_is_measured_without_the_emulator() {
    let rows = measure(&["floor", "--spawns", "2", "--calls", "3"]).await;
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0][1], "floor");
    // No process starts, answers or computes in no time, or without memory.
    for cell in &rows[0][2..9] {
        assert!(!cell.starts_with("0.00 ms") && !cell.starts_with("0.0 MB"), "{rows:?}");
    }
}

#[tokio::test]
async fn every_function_is_measured_with_its_calls_of_aws() {
    // A whole core: at the share of a small function, a development build takes seconds for a call.
    let rows = measure(&["--spawns", "1", "--calls", "2", "--memory", "1769"]).await;
    let functions: Vec<_> = rows.iter().map(|row| row[1].as_str()).collect();
    let all = [
        "floor",
        "order-intake",
        "order-relay",
        "inventory",
        "payment",
        "order-status",
        "notifications",
        "books",
    ];
    assert_eq!(functions, all);
    let calls = |function| &rows[all.iter().position(|name| *name == function).unwrap()][9];
    assert!(calls("order-intake").starts_with("1 PutItem ("), "{rows:?}");
    assert!(calls("order-relay").starts_with("1 PutEvents ("), "{rows:?}");
    assert_eq!(calls("floor"), "none");
}
