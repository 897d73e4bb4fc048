//! The CPU share that Lambda gives to a memory size, enforced by a control group.

use std::path::{Path, PathBuf};
use std::{fs, io};

/// The memory size in MB that gets one whole core.
///
/// Source: <https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html>.
const MEGABYTES_PER_CORE: u64 = 1769;

/// Lambda's accounting period, in microseconds.
const PERIOD: u64 = 20_000;

/// A control group whose processes get the CPU share of a memory size.
///
/// Creating one requires root and a writable control group file system of version 1 or 2.
pub(crate) struct CpuShare {
    group: PathBuf,
}

impl CpuShare {
    /// Creates the group for a memory size in MB.
    pub(crate) fn of(megabytes: u64) -> io::Result<Self> {
        let quota = quota(megabytes);
        let root = Path::new("/sys/fs/cgroup");
        let name = format!("amelie-bench-{}", std::process::id());
        if root.join("cgroup.controllers").exists() {
            fs::write(root.join("cgroup.subtree_control"), "+cpu")?;
            let share = Self::create(root.join(name))?;
            fs::write(share.group.join("cpu.max"), format!("{quota} {PERIOD}"))?;
            Ok(share)
        } else {
            let share = Self::create(root.join("cpu").join(name))?;
            fs::write(share.group.join("cpu.cfs_period_us"), PERIOD.to_string())?;
            fs::write(share.group.join("cpu.cfs_quota_us"), quota.to_string())?;
            Ok(share)
        }
    }

    /// Moves a process with all its threads into the group.
    pub(crate) fn limit(&self, process: u32) -> io::Result<()> {
        fs::write(self.group.join("cgroup.procs"), process.to_string())
    }

    fn create(group: PathBuf) -> io::Result<Self> {
        fs::create_dir(&group)?;
        Ok(Self { group })
    }
}

impl Drop for CpuShare {
    fn drop(&mut self) {
        // Fails only while a process is still inside. An empty group that is left does no harm.
        let _ = fs::remove_dir(&self.group);
    }
}

/// The CPU time per period in microseconds.
fn quota(megabytes: u64) -> u64 {
    megabytes * PERIOD / MEGABYTES_PER_CORE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_with_1769_mb_has_one_core() {
        assert_eq!(quota(1769), PERIOD);
    }

    #[test]
    fn a_function_with_128_mb_has_a_fourteenth_of_a_core() {
        assert_eq!(quota(128), 1_447);
    }
}
