//! The table of what happened in a run.

use std::{
    fmt::{self, Display},
    io::{self, Write},
    path::Path,
};

/// Lines with a name and a value.
#[derive(Default)]
pub(super) struct Report(Vec<(String, String)>);

impl Report {
    pub(super) fn line(&mut self, name: &str, value: impl Display) {
        self.0.push((name.to_owned(), value.to_string()));
    }

    /// Prints the table and writes it to a file.
    pub(super) fn publish(&self, path: &Path) {
        std::fs::write(path, self.to_string()).unwrap();
        say(&format!("\n{self}\nalso in {}", path.display()));
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |column: fn(&(String, String)) -> &String| {
            self.0.iter().map(|line| column(line).chars().count()).max()
        };
        let (names, values) =
            (width(|line| &line.0).unwrap_or(0), width(|line| &line.1).unwrap_or(0));
        writeln!(f, "| {:names$} | {:values$} |", "", "")?;
        writeln!(f, "|-{:-<names$}-|-{:-<values$}-|", "", "")?;
        for (name, value) in &self.0 {
            writeln!(f, "| {name:names$} | {value:values$} |")?;
        }
        Ok(())
    }
}

/// Prints to standard output even while the test harness captures output.
pub(super) fn say(text: &str) {
    // A failure to print is not a failure of the run.
    let _ = writeln!(io::stdout(), "{text}");
}
