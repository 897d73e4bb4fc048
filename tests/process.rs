//! Processes of this machine.

use std::path::Path;

use tokio::process::Command;

/// A process. Its command distinguishes it from a later process with the same id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) id: u32,
    parent: u32,
    pub(crate) command: String,
}

impl Process {
    /// Whether it is a function of the stack with that state directory, where functions are
    /// unpacked.
    pub(crate) fn is_function(&self, state_dir: &Path) -> bool {
        Path::new(&self.command).starts_with(state_dir)
    }
}

/// All live processes.
pub(crate) async fn all() -> Vec<Process> {
    let listed = Command::new("ps")
        .args(["-A", "-o", "pid=,ppid=,stat=,args="])
        .output()
        .await
        .expect("ps, which POSIX has");
    let listed = String::from_utf8(listed.stdout).unwrap();
    let processes = listed.lines().filter_map(|line| {
        let mut columns = line.split_whitespace();
        let (id, parent) = (columns.next()?.parse().ok()?, columns.next()?.parse().ok()?);
        // A zombie has ended and waits for its parent to notice.
        let alive = !columns.next()?.starts_with('Z');
        alive.then(|| Process { id, parent, command: columns.collect::<Vec<_>>().join(" ") })
    });
    processes.collect()
}

/// A process and all its descendants.
pub(crate) async fn family(head: u32) -> Vec<Process> {
    let all = all().await;
    let mut family: Vec<Process> =
        all.iter().filter(|process| process.id == head).cloned().collect();
    let mut next = 0;
    while let Some(parent) = family.get(next).map(|process| process.id) {
        family.extend(all.iter().filter(|process| process.parent == parent).cloned());
        next += 1;
    }
    family
}

/// Sends a signal. Returns false if the process has already ended.
pub(crate) async fn kill(signal: &str, process: u32) -> bool {
    Command::new("kill")
        .args([signal, &process.to_string()])
        .output()
        .await
        .unwrap()
        .status
        .success()
}
