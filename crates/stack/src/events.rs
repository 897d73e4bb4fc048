//! The events on the bus of an embedded stack, from the file in which its host records them.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::Value;

use crate::{Error, state_dir};

/// The member that the record adds to an envelope: when the event passed the bus.
pub const RECORDED_AT: &str = "recorded_at";

/// How often the file is checked for new events.
const POLL: Duration = Duration::from_millis(100);

/// Reads recorded events, and continues where it stopped.
#[derive(Debug)]
pub struct Events {
    file: File,
    path: PathBuf,
    /// The beginning of a line that is not fully written yet.
    partial: Vec<u8>,
}

impl Events {
    /// Starts with the first event since the stack was started.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn open(state_dir: &Path) -> Result<Self, Error> {
        let path = state_dir::events(state_dir);
        match File::open(&path) {
            Ok(file) => Ok(Self { file, path, partial: Vec::new() }),
            Err(source) => Err(Error::File { path, source }),
        }
    }

    /// The events that were recorded since the last call, as whole EventBridge envelopes.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn recorded(&mut self) -> Result<Vec<Value>, Error> {
        self.file
            .read_to_end(&mut self.partial)
            .map_err(|source| Error::File { path: self.path.clone(), source })?;
        let end =
            self.partial.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
        let complete: Vec<u8> = self.partial.drain(..end).collect();
        Ok(complete
            .split(|byte| *byte == b'\n')
            .filter_map(|line| serde_json::from_slice(line).ok())
            .collect())
    }

    /// Waits for the next events.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn next(&mut self) -> Result<Vec<Value>, Error> {
        loop {
            let events = self.recorded()?;
            if !events.is_empty() {
                return Ok(events);
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, OpenOptions},
        io::Write,
    };

    use serde_json::json;

    use super::*;
    use crate::workspace;

    #[test]
    fn an_event_is_read_once_it_is_fully_written() {
        let state_dir = workspace::target().join("tmp/stack/events");
        fs::create_dir_all(&state_dir).unwrap();
        let path = state_dir::events(&state_dir);
        let _ = fs::remove_file(&path);
        let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
        let mut events = Events::open(&state_dir).unwrap();

        file.write_all(b"{\"n\": 1}\n{\"n\"").unwrap();
        assert_eq!(events.recorded().unwrap(), [json!({"n": 1})]);
        file.write_all(b": 2}\n").unwrap();
        assert_eq!(events.recorded().unwrap(), [json!({"n": 2})]);
        assert!(events.recorded().unwrap().is_empty());
    }
}
