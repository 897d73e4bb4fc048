//! The table of what happened.

use std::{
    fmt::{self, Display},
    io::{self, Write},
    path::Path,
};

/// Lines of a name and a value.
#[derive(Default)]
pub(super) struct Report(Vec<(String, String)>);

impl Report {
    pub(super) fn line(&mut self, name: &str, value: impl Display) {
        self.0.push((name.to_owned(), value.to_string()));
    }

    /// Shows the table and keeps it in a file.
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

/// Prints, whether or not the test's output is captured.
pub(super) fn say(text: &str) {
    // There is nobody to tell if that fails.
    let _ = writeln!(io::stdout(), "{text}");
}
