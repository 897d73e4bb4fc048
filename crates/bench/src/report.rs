//! The report: the conditions of a measurement, and a table of its results.

use std::{fmt, fs, time::Duration};

use jiff::Timestamp;

use crate::{
    call_counter::Calls,
    measurement::{Effort, Measurement},
    statistics::Times,
};

/// The conditions of a measurement.
pub(crate) struct Conditions {
    /// How the functions' CPU was limited.
    pub(crate) cpu: String,
    /// Which binaries were measured.
    pub(crate) binaries: String,
    pub(crate) effort: Effort,
}

impl fmt::Display for Conditions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cpu, binaries, effort: Effort { spawns, calls } } = self;
        let command: Vec<_> = std::env::args().skip(1).collect();
        writeln!(
            f,
            "Printed by `cargo measure{}{}` on {} ({}).",
            if command.is_empty() { "" } else { " " },
            command.join(" "),
            Timestamp::now().strftime("%Y-%m-%d"),
            machine()
        )?;
        writeln!(f, "Binaries: {binaries}. CPU: {cpu}.")?;
        write!(f, "Medians of {spawns} processes; warm: {calls} calls of each.")
    }
}

/// The model of the processor and the number of its cores.
fn machine() -> String {
    let information = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let unit = if cores == 1 { "core" } else { "cores" };
    format!("{}, {cores} {unit}", cpu_model(&information).unwrap_or(std::env::consts::ARCH))
}

/// The model in `/proc/cpuinfo`. Some architectures do not state it.
fn cpu_model(information: &str) -> Option<&str> {
    information
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.trim() == "model name")
        .map(|(_, model)| model.trim())
}

/// A Markdown table of measurements.
pub(crate) fn table(measurements: &[Measurement]) -> String {
    let header = [
        "function",
        "spawn to ready",
        "first answer",
        "spawn to first answer (worst)",
        "warm p50 / p99",
        "CPU per call",
        "peak memory",
        "zip",
        "AWS calls per invocation (median duration in the emulator)",
    ];
    let mut rows = vec![header.map(str::to_owned)];
    rows.extend(measurements.iter().map(row));
    let widths: [usize; 9] = std::array::from_fn(|column| {
        rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)
    });
    let mut lines: Vec<String> = rows
        .iter()
        .map(|row| {
            let cells = row.iter().zip(widths).map(|(cell, width)| format!("| {cell:<width$} "));
            cells.collect::<String>() + "|"
        })
        .collect();
    lines.insert(1, widths.map(|width| format!("|{}", "-".repeat(width + 2))).concat() + "|");
    lines.join("\n")
}

fn row(measurement: &Measurement) -> [String; 9] {
    let Measurement { ready, first, cold, warm, .. } = measurement;
    [
        measurement.name.clone(),
        milliseconds(ready.median()),
        milliseconds(first.median()),
        format!("{} ({})", milliseconds(cold.median()), milliseconds(cold.percentile(100))),
        format!("{} / {}", milliseconds(warm.median()), milliseconds(warm.percentile(99))),
        milliseconds(measurement.cpu_per_call),
        megabytes(measurement.peak_memory),
        megabytes(measurement.package as u64),
        measurement
            .calls
            .as_ref()
            .map_or_else(|| "none".to_owned(), |(calls, times)| per_invocation(calls, *times)),
    ]
}

fn milliseconds(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

/// The calls of AWS in one of `times` invocations.
fn per_invocation(calls: &Calls, times: u32) -> String {
    let one = |(operation, durations): (&String, &Vec<Duration>)| {
        let average = durations.len() as f64 / f64::from(times);
        let count =
            if average.fract() == 0.0 { average.to_string() } else { format!("{average:.2}") };
        let median = milliseconds(durations.iter().copied().collect::<Times>().median());
        format!("{count} {operation} ({median})")
    };
    if calls.is_empty() {
        "none".to_owned()
    } else {
        calls.iter().map(one).collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_shown_per_invocation() {
        let durations = |count| vec![Duration::from_micros(1500); count];
        let calls = Calls::from([
            ("GetItem".to_owned(), durations(1)),
            ("PutItem".to_owned(), durations(20)),
        ]);
        assert_eq!(per_invocation(&calls, 20), "0.05 GetItem (1.50 ms), 1 PutItem (1.50 ms)");
        assert_eq!(per_invocation(&Calls::new(), 20), "none");
    }

    #[test]
    fn every_line_of_a_table_has_the_same_width() {
        let times = || [Duration::from_micros(1500)].into_iter().collect();
        let measurement = Measurement {
            name: "order-intake".to_owned(),
            ready: times(),
            first: times(),
            cold: times(),
            warm: times(),
            cpu_per_call: Duration::from_micros(250),
            peak_memory: 9_200_000,
            calls: None,
            package: 3_100_000,
        };
        let table = table(&[measurement]);
        let lines: Vec<_> = table.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines.iter().all(|line| line.len() == lines[0].len()), "{table}");
        assert!(lines[2].contains("| 1.50 ms / 1.50 ms |"), "{table}");
        assert!(lines[2].contains("| 9.2 MB "), "{table}");
    }

    #[test]
    fn the_model_of_the_processor_is_found() {
        let information = "processor\t: 0\nmodel name\t: AMD EPYC 7763\ncache size\t: 512 KB\n";
        assert_eq!(cpu_model(information), Some("AMD EPYC 7763"));
        assert_eq!(cpu_model("processor\t: 0\nBogoMIPS\t: 50.00\n"), None);
    }
}
