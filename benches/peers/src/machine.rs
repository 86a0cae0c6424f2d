//! The machine, in words: figures are nothing without it.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde::{Deserialize, Serialize};
use sysinfo::{CpuRefreshKind, MemoryRefreshKind, RefreshKind, System};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    pub processor: String,
    /// Processors that this process may use.
    pub cores: usize,
    pub memory_mib: u64,
    pub kernel: String,
    pub libc: String,
    pub rustc: String,
    /// Compilers of the allocators that are in C and C++.
    pub compilers: Vec<String>,
    /// How the kernel uses large pages: what it says in `/sys/kernel/mm/transparent_hugepage/enabled`.
    pub huge_pages: String,
    /// Programs that wanted to run, on average over the minute before the first run.
    pub load: f64,
}

const UNKNOWN: &str = "unknown";

impl Machine {
    pub fn this() -> Self {
        let wanted = RefreshKind::nothing()
            .with_cpu(CpuRefreshKind::nothing())
            .with_memory(MemoryRefreshKind::nothing().with_ram());
        let system = System::new_with_specifics(wanted);
        let brand = system.cpus().first().map(|cpu| cpu.brand().trim().to_owned());
        let chosen = fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled").ok();
        let chosen = chosen.and_then(|text| Some(text.split_once('[')?.1.split_once(']')?.0.to_owned()));
        Self {
            processor: brand.filter(|brand| !brand.is_empty()).unwrap_or_else(|| UNKNOWN.to_owned()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_mib: system.total_memory() >> 20,
            kernel: System::kernel_long_version(),
            libc: first_line("getconf", &["GNU_LIBC_VERSION"]).unwrap_or_else(|| UNKNOWN.to_owned()),
            rustc: first_line("rustc", &["--version"]).unwrap_or_else(|| UNKNOWN.to_owned()),
            compilers: ["cc", "c++"].iter().filter_map(|name| first_line(name, &["--version"])).collect(),
            huge_pages: chosen.unwrap_or_else(|| UNKNOWN.to_owned()),
            load: System::load_average().one,
        }
    }

    /// One sentence.
    pub fn words(&self) -> String {
        let cores = if self.cores == 1 { "1 core".to_owned() } else { format!("{} cores", self.cores) };
        let memory = (self.memory_mib as f64 / 1024.0).round();
        let mut compilers = vec![self.rustc.as_str()];
        compilers.extend(self.compilers.iter().map(String::as_str));
        format!(
            "{cores} of {}, {memory} GiB of memory, {}, {}, large pages: {}; built by {}; load before the first run {:.2}",
            self.processor,
            self.kernel,
            self.libc,
            self.huge_pages,
            compilers.join(", "),
            self.load
        )
    }
}

/// The commit of a working tree, with a plus sign if it was changed since.
pub fn commit(folder: &Path) -> Option<String> {
    let folder = folder.to_str()?;
    let commit = first_line("git", &["-C", folder, "rev-parse", "--short=12", "HEAD"])?;
    let is_changed = first_line("git", &["-C", folder, "status", "--porcelain", "--untracked-files=no"]).is_some();
    Some(if is_changed { commit + "+" } else { commit })
}

/// The first line that a program prints, if it succeeds and there is one.
fn first_line(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let line = text.lines().next()?.trim();
    (output.status.success() && !line.is_empty()).then(|| line.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_a_description() {
        let machine = Machine::this();
        assert!(machine.cores > 0 && machine.memory_mib > 0);
        assert!(machine.rustc.starts_with("rustc "), "{}", machine.rustc);
        let words = machine.words();
        assert!(words.contains(&machine.processor) && !words.contains('\n'), "{words}");
    }

    #[test]
    fn a_program_that_fails_or_is_missing_has_no_line() {
        assert_eq!(first_line("false", &[]), None);
        assert_eq!(first_line("/there/is/none", &[]), None);
        assert_eq!(first_line("echo", &["a\nb"]).as_deref(), Some("a"));
    }
}
