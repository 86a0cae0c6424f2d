//! A control group of a test's own, with a limit of memory, where the system lets tests make one.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A control group, which ends with this value. Processes join it when they start.
pub struct Group {
    folder: PathBuf,
}

impl Group {
    /// A group whose processes may have so many bytes resident; or why there is none.
    pub fn new(bytes: usize) -> Result<Self, String> {
        let own = fs::read_to_string("/proc/self/cgroup").map_err(|error| format!("/proc/self/cgroup: {error}"))?;
        let mut reasons = Vec::new();
        for line in own.lines() {
            let mut parts = line.splitn(3, ':');
            let (Some(number), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next()) else {
                continue;
            };
            let (root, limit) = match (number, controllers) {
                ("0", "") => ("/sys/fs/cgroup", "memory.max"),
                (_, controllers) if controllers.split(',').any(|name| name == "memory") => {
                    ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
                }
                _ => continue,
            };
            match Self::within(Path::new(root).join(path.trim_start_matches('/')), limit, bytes) {
                Ok(group) => return Ok(group),
                Err(error) => reasons.push(format!("{root}{path}: {error}")),
            }
        }
        Err(reasons.join("; "))
    }

    fn within(outer: PathBuf, limit: &str, bytes: usize) -> io::Result<Self> {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let nth = MADE.fetch_add(1, Ordering::Relaxed);
        let folder = outer.join(format!("tenure-test-{}-{nth}", process::id()));
        fs::create_dir(&folder)?;
        let group = Self { folder };
        // Without the controller there is no such file, and none can be made.
        fs::write(group.folder.join(limit), bytes.to_string())?;
        // Nothing is to go to a swap device instead, where there is one.
        let _ = fs::write(group.folder.join("memory.swap.max"), "0");
        Ok(group)
    }

    /// Has the command's process join the group before its program starts.
    pub fn contain(&self, command: &mut Command) {
        let file = self.folder.join("cgroup.procs");
        // SAFETY: writes a file, which is all that happens between fork and exec; the process has one thread.
        unsafe { command.pre_exec(move || fs::write(&file, process::id().to_string())) };
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Its processes have ended.
        let _ = fs::remove_dir(&self.folder);
    }
}
