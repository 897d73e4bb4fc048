//! The whole way of measuring, with the one function that needs nothing.

use std::{path::Path, process::Command};

#[test]
fn the_floor_is_measured_and_stands_in_the_table() {
    let binaries = Path::new(env!("CARGO_BIN_EXE_floor")).parent().unwrap();
    let measured = Command::new(env!("CARGO_BIN_EXE_bench"))
        .args(["floor", "--spawns", "2", "--calls", "3", "--binaries"])
        .arg(binaries)
        .output()
        .unwrap();
    let (table, errors) =
        (String::from_utf8(measured.stdout).unwrap(), String::from_utf8(measured.stderr).unwrap());
    assert!(measured.status.success(), "{errors}");

    let row = table.lines().find(|line| line.starts_with("| floor")).unwrap();
    let cells: Vec<_> = row.split('|').map(str::trim).collect();
    // No process is ready, answers or computes in no time, or without memory.
    assert!(
        cells[2..9].iter().all(|cell| !cell.starts_with("0.00 ms") && !cell.starts_with("0.0 MB")),
        "{table}"
    );
}
