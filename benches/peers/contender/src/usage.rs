//! What the system says that this process has used.

use std::fs;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use serde::Serialize;

#[derive(Serialize)]
pub struct Usage {
    user_s: f64,
    system_s: f64,
    /// The high-water mark of this program. That of `getrusage` is handed on from the process that started it.
    peak_rss_kib: u64,
    minor_faults: i64,
    voluntary_switches: i64,
}

pub fn of_this_process() -> Result<Usage, String> {
    let usage = getrusage(UsageWho::RUSAGE_SELF).map_err(|error| format!("getrusage: {error}"))?;
    let status = fs::read_to_string("/proc/self/status").map_err(|error| format!("/proc/self/status: {error}"))?;
    Ok(Usage {
        user_s: seconds(usage.user_time()),
        system_s: seconds(usage.system_time()),
        peak_rss_kib: high_water_kib(&status).ok_or("/proc/self/status has no VmHWM")?,
        minor_faults: usage.minor_page_faults(),
        voluntary_switches: usage.voluntary_context_switches(),
    })
}

fn seconds(time: TimeVal) -> f64 {
    time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6
}

fn high_water_kib(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_read_from_the_system_s_text() {
        assert_eq!(high_water_kib("Name:\tx\nVmPeak:\t  99 kB\nVmHWM:\t    2048 kB\n"), Some(2048));
        assert_eq!(high_water_kib("Name:\tx\n"), None);
    }

    #[test]
    fn a_peak_is_seen_that_has_gone_again() {
        let before = of_this_process().unwrap();
        drop(std::hint::black_box(vec![1_u8; 64 << 20]));
        let after = of_this_process().unwrap();
        assert!(after.peak_rss_kib >= 64 << 10 && after.peak_rss_kib >= before.peak_rss_kib);
        assert!(after.user_s + after.system_s > 0.0);
    }
}
