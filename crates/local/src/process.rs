//! Child processes with all their descendants.

use std::{io, process::ExitStatus};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};

/// A child process in its own process group. Ctrl-C in the terminal does not reach it. Dropping
/// this kills the child and all its descendants.
#[derive(Debug)]
pub(crate) struct ProcessGroup {
    child: Child,
    id: Option<Pid>,
}

impl ProcessGroup {
    pub(crate) fn spawn(command: &mut Command) -> io::Result<Self> {
        let child = command.process_group(0).spawn()?;
        let id = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        Ok(Self { child, id })
    }

    /// The child, for its pipes.
    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Waits for the child to exit, then kills its remaining descendants.
    pub(crate) async fn wait(&mut self) -> io::Result<ExitStatus> {
        let status = self.child.wait().await?;
        self.kill();
        Ok(status)
    }

    fn kill(&mut self) {
        // Only once, because the system may reuse the id. An error means that no process is left.
        if let Some(id) = self.id.take() {
            let _ = kill_process_group(id, Signal::KILL);
        }
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn dropping_a_group_kills_what_its_child_has_started() {
        let mut command = Command::new("sh");
        command.args(["-c", "tail -f /dev/null & echo started; wait"]).stdout(Stdio::piped());
        let mut group = ProcessGroup::spawn(&mut command).unwrap();
        let mut output = group.child().stdout.take().unwrap();
        let mut started = [0; 8];
        output.read_exact(&mut started).await.unwrap();

        drop(group);

        // The pipe closes when the last process that holds it has ended.
        output.read_to_end(&mut Vec::new()).await.unwrap();
    }
}
