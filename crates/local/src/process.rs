//! A child process together with everything that it starts.

use std::{io, process::ExitStatus};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};

/// A child at the head of a process group of its own: a Ctrl-C in the terminal does not reach it,
/// and when this is dropped, it and its descendants are killed.
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

    /// The head of the group, for its pipes.
    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Waits for the head to exit, then kills what it left behind.
    pub(crate) async fn wait(&mut self) -> io::Result<ExitStatus> {
        let status = self.child.wait().await?;
        self.kill();
        Ok(status)
    }

    fn kill(&mut self) {
        // Once only: the id may be another's later. An error means that nobody is left.
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
    async fn a_dropped_group_takes_along_what_its_head_has_started() {
        let mut command = Command::new("sh");
        command.args(["-c", "tail -f /dev/null & echo started; wait"]).stdout(Stdio::piped());
        let mut group = ProcessGroup::spawn(&mut command).unwrap();
        let mut output = group.child().stdout.take().unwrap();
        let mut started = [0; 8];
        output.read_exact(&mut started).await.unwrap();

        drop(group);

        // The pipe ends with the last process that holds it.
        output.read_to_end(&mut Vec::new()).await.unwrap();
    }
}
