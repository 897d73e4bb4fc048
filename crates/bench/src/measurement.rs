//! Measuring a function.

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

/// The number of measurements.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    /// Processes to start.
    pub(crate) spawns: u32,
    /// Warm calls of each process.
    pub(crate) calls: u32,
}

/// A function, ready to be measured.
pub(crate) struct Subject<'a> {
    pub(crate) name: &'a str,
    pub(crate) binary: PathBuf,
    /// The file for the output of its processes.
    pub(crate) log: PathBuf,
    /// `None` for a function that accepts any event and calls nothing.
    pub(crate) workload: Option<Workload<'a>>,
    pub(crate) settings: Vec<(&'static str, String)>,
}

/// The costs of a function.
#[derive(Debug)]
pub(crate) struct Measurement {
    pub(crate) name: String,
    /// From the start of the process until it asks for its first event.
    pub(crate) ready: Times,
    /// The first call.
    pub(crate) first: Times,
    /// From the start of the process until its first answer.
    pub(crate) cold: Times,
    /// All later calls.
    pub(crate) warm: Times,
    /// The CPU time of a warm call.
    pub(crate) cpu_per_call: Duration,
    /// In bytes.
    pub(crate) peak_memory: u64,
    /// The calls of AWS in a number of warm calls.
    pub(crate) calls: Option<(Calls, u32)>,
    /// The size of the deployment package in bytes.
    pub(crate) package: usize,
}

impl Subject<'_> {
    /// Measures the function. Its CPU is limited once it is ready.
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
            share.map_or(Ok(()), |share| environment.limit(share))?;
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

    /// Counts the calls of AWS in `times` warm calls. This is a separate run, because the proxy
    /// slows the calls down.
    async fn count(&self, times: u32, counter: &CallCounter) -> Result<Calls> {
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

/// The size of the deployment package in bytes: a zip file with only the binary, as `sam build`
/// creates it.
fn package(binary: &Path) -> Result<usize> {
    let binary = fs::read(binary).with_context(|| format!("reading {}", binary.display()))?;
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file("bootstrap", SimpleFileOptions::default())?;
    zip.write_all(&binary)?;
    Ok(zip.finish()?.into_inner().len())
}
