//! The environment of a program in Rust that asks for it to be read. Each test runs this file's program again, with
//! settings and one of the parts below.
#![cfg(all(target_os = "linux", not(any(loom, miri))))]

use serde_json::Value;
use std::hint::black_box;
use std::process::{Command, Output};
use std::time::Duration;
use std::{env, thread};
use tenure::Tenure;

#[global_allocator]
static GLOBAL: Tenure = Tenure::new();

/// What the program does when it is run again.
#[test]
fn part() {
    let Ok(part) = env::var("FROM_ENV_PART") else { return };
    extern "C" fn own_handler(_: libc::c_int) {}
    let own_handler = own_handler as *const () as libc::sighandler_t;
    match part.as_str() {
        "plain" => {}
        "read" => tenure::from_env(),
        "twice" => (0..2).for_each(|_| tenure::from_env()),
        "delay" => {
            tenure::from_env();
            assert_eq!(GLOBAL.purge_delay(), Duration::from_millis(250));
        }
        "signal" => {
            tenure::from_env();
            // SAFETY: a signal that has a handler.
            assert_eq!(unsafe { libc::raise(libc::SIGUSR2) }, 0);
            thread::sleep(Duration::from_millis(300));
        }
        "own handler" => {
            // SAFETY: a handler that does nothing.
            unsafe { libc::signal(libc::SIGUSR2, own_handler) };
            tenure::from_env();
            // SAFETY: as above.
            assert_eq!(unsafe { libc::signal(libc::SIGUSR2, libc::SIG_DFL) }, own_handler);
        }
        "every" => {
            tenure::from_env();
            let kept: Vec<_> =
                (0..20).map(|nth| (thread::sleep(Duration::from_millis(20)), vec![nth; 1 << 20])).collect();
            black_box(kept);
        }
        other => panic!("{other} is no part"),
    }
}

fn run(part: &str, settings: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "part", "--nocapture", "--test-threads=1"]);
    command.env("FROM_ENV_PART", part).envs(settings.iter().copied());
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("TENURE_") {
            command.env_remove(name);
        }
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{part}: {}\n{}", output.status, stderr(&output));
    output
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn reports(output: &Output) -> Vec<Value> {
    let text = stderr(output);
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

#[test]
fn nothing_is_read_unless_the_program_asks() {
    assert_eq!(stderr(&run("plain", &[("TENURE_STATS", "json"), ("TENURE_COLOUR", "green")])), "");
    assert_eq!(stderr(&run("read", &[])), "");
}

#[test]
fn statistics_are_reported_at_the_end_once_however_often_the_environment_is_read() {
    for part in ["read", "twice"] {
        let found = reports(&run(part, &[("TENURE_STATS", "json")]));
        assert_eq!(found.len(), 1, "{part}");
        assert!(found[0]["live_bytes"].as_u64().unwrap() > 0 && found[0]["system"]["resident"].as_u64().unwrap() > 0);
    }
    assert!(stderr(&run("read", &[("TENURE_STATS", "text")])).contains("\nmemory "));
    assert!(stderr(&run("read", &[("TENURE_STATS", "prom")])).contains("\ntenure_committed_bytes "));
}

#[test]
fn wrong_settings_are_said_and_ignored() {
    let text = stderr(&run("read", &[("TENURE_STATS", "html"), ("TENURE_STATS_EVERY", "soon")]));
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(
        text.lines().all(|line| line.starts_with("tenure: TENURE_STATS") && line.ends_with(" is ignored")),
        "{text}"
    );
}

#[test]
fn the_purge_delay_is_set() {
    run("delay", &[("TENURE_PURGE_DELAY", "250")]);
}

#[test]
fn a_signal_is_answered() {
    assert_eq!(reports(&run("signal", &[("TENURE_STATS_SIGNAL", "USR2")])).len(), 1);
}

#[test]
fn a_handler_of_the_program_stays() {
    let text = stderr(&run("own handler", &[("TENURE_STATS_SIGNAL", "USR2")]));
    assert!(text.starts_with("tenure: TENURE_STATS_SIGNAL: ") && text.lines().count() == 1, "{text}");
}

#[test]
fn a_series_shows_how_memory_grows() {
    let series = reports(&run("every", &[("TENURE_STATS_EVERY", "40ms")]));
    let figures: Vec<_> = series.iter().map(|report| report["peak_committed"].as_u64().unwrap()).collect();
    assert!(figures.len() >= 4 && figures.is_sorted(), "{figures:?}");
    assert!(figures.last().unwrap() - figures[0] > 8 << 20, "{figures:?}");
    for report in &series {
        let lines = report["balance"].as_object().unwrap().values();
        let sum: u64 = lines.map(|line| line.as_u64().unwrap()).sum();
        // A mapping that is made or unmapped at that moment, 4 MiB of the program's, may be missing on one side.
        assert!(sum.abs_diff(report["committed"].as_u64().unwrap()) <= 5 << 20, "{report}");
    }
}
