//! A profile that a signal asks for, of a program in Rust. The test runs this file's program again, with settings.

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

#[global_allocator]
static GLOBAL: tenure::Tenure = tenure::Tenure::new();

/// What the program has in use.
#[inline(never)]
fn kept() -> Vec<u8> {
    black_box(vec![1; 3 << 20])
}

/// Takes all memory that is to be had, and gives it back when dropped.
struct Exhausted {
    blocks: [Option<Vec<u8>>; 4096],
}

#[allow(unsafe_code, reason = "a limit for this process")]
fn exhaust() -> Box<Exhausted> {
    let mut all = Box::new(Exhausted { blocks: [const { None }; 4096] });
    let limit = libc::rlimit { rlim_cur: 512 << 20, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: a valid limit.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &limit) }, 0);
    let mut size = 32 << 20;
    for place in &mut all.blocks {
        let mut block = Vec::new();
        // Enough is left for the program itself.
        while size >= 1 << 20 && block.try_reserve_exact(size).is_err() {
            size /= 2;
        }
        if size < 1 << 20 {
            break;
        }
        *place = Some(block);
    }
    all
}

#[allow(unsafe_code, reason = "a signal to this process")]
fn ask() {
    // SAFETY: a signal that has a handler.
    assert_eq!(unsafe { libc::raise(libc::SIGUSR1) }, 0);
}

fn wait_for(file: &Path) {
    let begun = Instant::now();
    while !file.exists() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{} is waited for in vain", file.display());
        thread::sleep(Duration::from_millis(10));
    }
}

/// What the program does when it is run again.
#[test]
fn part() {
    let Some(part) = env::var_os("ON_SIGNAL_PART").filter(|part| part != "forks") else { return };
    let expected: Vec<_> = env::var("ON_SIGNAL_FILES").unwrap().split(' ').map(PathBuf::from).collect();
    tenure_profile::from_env();
    let kept = kept();
    let exhausted = (part == "exhausted").then(exhaust);
    for file in &expected {
        ask();
        wait_for(file);
    }
    drop((exhausted, kept));
}

/// What the program does that forks.
#[test]
#[allow(unsafe_code, reason = "a fork")]
fn forks() {
    if env::var_os("ON_SIGNAL_PART").is_none_or(|part| part != "forks") {
        return;
    }
    tenure_profile::from_env();
    // SAFETY: the child does no more than the allocator is made for.
    let child = unsafe { libc::fork() };
    if child == 0 {
        drop(kept());
        // SAFETY: runs what is to be done at the end.
        unsafe { libc::exit(0) };
    }
    let mut status = 0;
    // SAFETY: the child from above, and a valid place for its status.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    assert_eq!(status, 0);
}

#[test]
fn a_forked_child_writes_its_profile_under_a_name_of_its_own() {
    let folder = folder("forks");
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "forks", "--nocapture", "--test-threads=1"]).env("ON_SIGNAL_PART", "forks");
    let output = command.env("TENURE_PROFILE", folder.join("%p.folded:1")).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 2, "{files:?}");
    let of_child = files.iter().filter(|file| fs::read_to_string(file).unwrap().contains("on_signal::kept"));
    assert_eq!(of_child.count(), 1, "{files:?}");
    fs::remove_dir_all(&folder).unwrap();
}

fn run(folder: &Path, part: &str, files: &[&str]) -> (Vec<String>, String) {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "part", "--nocapture", "--test-threads=1"]);
    let files: Vec<_> = files.iter().map(|name| folder.join(name).display().to_string()).collect();
    command.env("ON_SIGNAL_PART", part).env("ON_SIGNAL_FILES", files.join(" "));
    command.env("TENURE_PROFILE", folder.join("heap.folded:1")).env("TENURE_STATS_SIGNAL", "USR1");
    let output = command.env("TENURE_STATS_FILE", folder.join("stats")).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{}: {errors}", output.status);
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    (names, errors)
}

fn folder(name: &str) -> PathBuf {
    let folder = env::temp_dir().join(format!("tenure-on-signal-{name}-{}", process::id()));
    fs::create_dir(&folder).unwrap();
    folder
}

#[test]
fn each_signal_has_a_profile_written_to_a_file_with_a_number() {
    let folder = folder("numbers");
    let (names, errors) = run(&folder, "plain", &["heap.0001.folded", "heap.0002.folded"]);
    assert_eq!(errors, "");
    assert_eq!(names, ["heap.0001.folded", "heap.0002.folded", "heap.folded", "stats"]);
    for name in &names[..3] {
        let folded = fs::read_to_string(folder.join(name)).unwrap();
        let line = folded.lines().find(|line| line.contains("on_signal::kept")).unwrap_or_else(|| panic!("{folded}"));
        assert!(line.ends_with(" 3145728"), "{line}");
    }
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn where_memory_is_exhausted_what_was_found_is_kept_as_text_and_the_program_goes_on() {
    let folder = folder("exhausted");
    let (names, errors) = run(&folder, "exhausted", &["heap.0001.folded.heap"]);
    let text = folder.join("heap.0001.folded.heap");
    let line = format!(
        "tenure: TENURE_PROFILE: there is no memory for the profile; `tenure profile {}` reads what was found\n",
        text.display()
    );
    assert_eq!(errors, line);
    assert_eq!(names, ["heap.0001.folded.heap", "heap.folded", "stats"]);
    let text = tenure_profile::Profile::parse(&fs::read_to_string(&text).unwrap()).unwrap();
    let mut folded = Vec::new();
    text.write_folded(tenure_profile::Value::LiveBytes, &mut folded).unwrap();
    assert!(String::from_utf8(folded).unwrap().contains("on_signal::exhaust"));
    fs::remove_dir_all(&folder).unwrap();
}
