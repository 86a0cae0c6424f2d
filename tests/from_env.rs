//! The environment of a program in Rust that asks for it to be read. Each test runs this file's program again, with
//! settings and one of the parts below.
#![cfg(all(target_os = "linux", not(any(loom, miri))))]

use serde_json::Value;
use std::hint::black_box;
use std::process::{Command, Output};
use std::time::Duration;
use std::{env, thread};
use tenure::{Limit, Tenure};

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
        "refused" => {
            tenure::from_env();
            // SAFETY: the calling thread's own number.
            let errno = || unsafe { &mut *libc::__errno_location() };
            for _ in 0..3 {
                *errno() = 4321;
                assert!(Vec::<u8>::new().try_reserve(512 << 20).is_err());
                assert_eq!(*errno(), 4321);
            }
        }
        "refused unread" => {
            let mut ends = [0; 2];
            // SAFETY: room for two descriptors, of which one becomes standard error, and nobody reads the other.
            unsafe {
                assert_eq!(libc::pipe(ends.as_mut_ptr()), 0);
                assert_eq!(libc::dup2(ends[1], libc::STDERR_FILENO), libc::STDERR_FILENO);
                assert_eq!(libc::close(ends[0]), 0);
                // As a program in C has it.
                libc::signal(libc::SIGPIPE, libc::SIG_DFL);
            }
            tenure::from_env();
            assert!(Vec::<u8>::new().try_reserve(512 << 20).is_err());
        }
        "limit of its own" => {
            tenure::from_env();
            GLOBAL.set_limit(Limit::hard(128 << 20));
            assert!(Vec::<u8>::new().try_reserve(512 << 20).is_err());
        }
        "more than the system has" => {
            tenure::from_env();
            // A refusal that reclaiming helps against, and then one of the system's.
            let blocks: Vec<_> = (0..150_000).map(|_| vec![1_u8; 1000]).collect();
            thread::spawn(|| drop(blocks)).join().unwrap();
            drop(black_box(vec![1_u8; 200 << 20]));
            GLOBAL.purge();
            let none = libc::rlimit { rlim_cur: 0, rlim_max: libc::RLIM_INFINITY };
            // SAFETY: a limit that there is.
            assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &none) }, 0);
            assert!(Vec::<u8>::new().try_reserve(100 << 20).is_err());
        }
        "ends" => {
            tenure::from_env();
            black_box(vec![1_u8; 1 << 20]);
        }
        other => panic!("{other} is no part"),
    }
}

fn run(part: &str, settings: &[(&str, &str)]) -> Output {
    let output = attempt(part, settings);
    assert!(output.status.success(), "{part}: {}\n{}", output.status, stderr(&output));
    output
}

/// As [`run`], of a part that may fail.
fn attempt(part: &str, settings: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "part", "--nocapture", "--test-threads=1"]);
    command.env("FROM_ENV_PART", part).envs(settings.iter().copied());
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("TENURE_") {
            command.env_remove(name);
        }
    }
    command.output().unwrap()
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
fn a_hard_limit_of_the_environments_says_once_that_it_refuses() {
    let text = stderr(&run("refused", &[("TENURE_LIMIT", "256M")]));
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.starts_with("tenure: TENURE_LIMIT: the hard limit of 268435456 bytes refuses "), "{text}");
    let refused: usize = text.split_whitespace().nth(9).unwrap().parse().unwrap();
    assert!((512 << 20..513 << 20).contains(&refused), "{text}");
    run("refused unread", &[("TENURE_LIMIT", "256M")]);
}

#[test]
fn a_program_that_ends_at_a_tiny_limit_says_why() {
    let output = attempt("ends", &[("TENURE_LIMIT", "100")]);
    assert!(!output.status.success());
    let text = stderr(&output);
    assert!(text.starts_with("tenure: TENURE_LIMIT: the hard limit of 100 bytes refuses "), "{text}");
    assert_eq!(text.matches("tenure: ").count(), 1, "{text}");
}

#[test]
fn a_limit_of_the_programs_own_refuses_in_silence_and_so_do_refusals_that_are_none_of_the_limits() {
    assert_eq!(stderr(&run("limit of its own", &[("TENURE_LIMIT", "256M")])), "");
    assert_eq!(stderr(&run("limit of its own", &[])), "");
    assert_eq!(stderr(&run("more than the system has", &[("TENURE_LIMIT", "256M")])), "");
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
