//! Measuring one function, and the table of the results.

use std::{
    fs,
    io::{Cursor, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use zip::{ZipWriter, write::SimpleFileOptions};

use crate::{
    call_counter::{CallCounter, Calls},
    cpu_share::CpuShare,
    environment::Environment,
    statistics::Times,
    workload::Workload,
};

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    /// Fresh processes.
    pub(crate) spawns: usize,
    /// Warm calls of each.
    pub(crate) calls: usize,
}

/// A function, ready to be measured.
pub(crate) struct Subject<'a> {
    pub(crate) name: &'a str,
    pub(crate) binary: PathBuf,
    /// Where the output of its processes goes.
    pub(crate) log: PathBuf,
    /// None for a function that takes any event and calls nothing.
    pub(crate) workload: Option<Workload<'a>>,
    pub(crate) settings: Vec<(&'static str, String)>,
}

/// What a function was found to cost.
#[derive(Debug)]
pub(crate) struct Measurement {
    name: String,
    ready: Times,
    first: Times,
    cold: Times,
    warm: Times,
    cpu_per_call: Duration,
    peak_memory: u64,
    calls: Option<(Calls, usize)>,
    package: usize,
}

impl Subject<'_> {
    /// Times it, with its CPU held from when it is ready.
    pub(crate) async fn measure(
        &self,
        effort: Effort,
        share: Option<&CpuShare>,
        counter: Option<&CallCounter>,
    ) -> Result<Measurement> {
        let (mut starts, mut warm) = (Vec::new(), Vec::new());
        let (mut cpu, mut peak_memory) = (Duration::ZERO, 0);
        for _ in 0..effort.spawns {
            let (mut environment, ready) =
                Environment::start(&self.binary, &self.settings, &self.log).await?;
            let event = self.event().await?;
            share.map_or(Ok(()), |share| environment.hold(share))?;
            starts.push((ready, environment.invoke(event).await?));
            let before = environment.cpu_time()?;
            for _ in 0..effort.calls {
                warm.push(environment.invoke(self.event().await?).await?);
            }
            cpu += environment.cpu_time()? - before;
            peak_memory = peak_memory.max(environment.peak_memory()?);
        }
        Ok(Measurement {
            name: self.name.to_owned(),
            ready: starts.iter().map(|(ready, _)| *ready).collect(),
            first: starts.iter().map(|(_, first)| *first).collect(),
            cold: starts.iter().map(|(ready, first)| *ready + *first).collect(),
            cpu_per_call: cpu / u32::try_from(warm.len())?,
            warm: warm.into_iter().collect(),
            peak_memory,
            calls: match counter {
                Some(counter) => Some((self.count(effort.calls, counter).await?, effort.calls)),
                None => None,
            },
            package: package(&self.binary)?,
        })
    }

    /// Counts the calls of AWS that `times` warm calls make. A run of its own, since the way past
    /// the counter is longer.
    async fn count(&self, times: usize, counter: &CallCounter) -> Result<Calls> {
        let mut settings = self.settings.clone();
        settings.push(("AWS_ENDPOINT_URL", counter.endpoint().to_owned()));
        let (mut environment, _) = Environment::start(&self.binary, &settings, &self.log).await?;
        environment.invoke(self.event().await?).await?;
        counter.take();
        for _ in 0..times {
            environment.invoke(self.event().await?).await?;
        }
        Ok(counter.take())
    }

    async fn event(&self) -> Result<String> {
        match &self.workload {
            Some(workload) => workload.next().await,
            None => Ok("{}".to_owned()),
        }
    }
}

/// The size of a deployment package, in bytes: a zip file with the binary alone, which is what `sam
/// build` packs.
fn package(binary: &Path) -> Result<usize> {
    let binary = fs::read(binary).with_context(|| format!("reading {}", binary.display()))?;
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file("bootstrap", SimpleFileOptions::default())?;
    zip.write_all(&binary)?;
    Ok(zip.finish()?.into_inner().len())
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
        "AWS calls per invocation, and what the emulator takes for each",
    ];
    let mut rows = vec![header.map(str::to_owned)];
    rows.extend(measurements.iter().map(Measurement::row));
    let widths: [usize; 9] = std::array::from_fn(|column| {
        rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)
    });
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        let cells = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("| {cell:<width$} "))
            .collect::<String>();
        text.push_str(&format!("{cells}|\n"));
        if number == 0 {
            let rule = widths.map(|width| format!("|{}", "-".repeat(width + 2))).concat();
            text.push_str(&format!("{rule}|\n"));
        }
    }
    text
}

impl Measurement {
    fn row(&self) -> [String; 9] {
        [
            self.name.clone(),
            milliseconds(self.ready.median()),
            milliseconds(self.first.median()),
            format!(
                "{} ({})",
                milliseconds(self.cold.median()),
                milliseconds(self.cold.percentile(100))
            ),
            format!(
                "{} / {}",
                milliseconds(self.warm.median()),
                milliseconds(self.warm.percentile(99))
            ),
            milliseconds(self.cpu_per_call),
            megabytes(self.peak_memory),
            megabytes(self.package as u64),
            self.calls
                .as_ref()
                .map_or_else(|| "none".to_owned(), |(calls, times)| per_invocation(calls, *times)),
        ]
    }
}

fn milliseconds(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

fn per_invocation(calls: &Calls, times: usize) -> String {
    let one = |(operation, took): (&String, &Vec<Duration>)| {
        let (count, took) =
            (took.len(), milliseconds(took.iter().copied().collect::<Times>().median()));
        if count % times == 0 {
            format!("{} {operation} ({took})", count / times)
        } else {
            format!("{:.2} {operation} ({took})", count as f64 / times as f64)
        }
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
    fn calls_are_told_per_invocation() {
        let took = |count| vec![Duration::from_micros(1500); count];
        let calls =
            Calls::from([("GetItem".to_owned(), took(1)), ("PutItem".to_owned(), took(20))]);
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
    }
}
