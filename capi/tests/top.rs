//! `tenure top`: what it shows of a program that writes statistics, as text and on a terminal, and what it says where
//! there are none.

mod support;

use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use portable_pty::{CommandBuilder, MasterPty, PtySize, native_pty_system};
use serde_json::Value;
use support::{Run, compile, library};

/// How long something that is about to happen is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// A folder of the test's own, empty.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("top-{name}"));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// A program that grows for a while, ended when dropped.
struct Growing(Child);

impl Growing {
    fn new(settings: &[(&str, &str)]) -> Self {
        let run = Run::on_tenure(&compile("grows.c", &[])).arg("60000");
        let run = settings.iter().fold(run, |run, (name, value)| run.env(name, value));
        Self(run.spawn(Stdio::null()))
    }

    fn id(&self) -> String {
        self.0.id().to_string()
    }

    fn end(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Growing {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A program that writes to a file of its folder every 20 ms, and its file, which has some snapshots.
fn growing(name: &str) -> (Growing, PathBuf) {
    let folder = folder(name);
    let pattern = folder.join("%p.json");
    let program = Growing::new(&[("TENURE_STATS_EVERY", "20ms"), ("TENURE_STATS_FILE", pattern.to_str().unwrap())]);
    let file = folder.join(format!("{}.json", program.id()));
    wait_until("there are three snapshots", || fs::read_to_string(&file).is_ok_and(|text| text.lines().count() >= 3));
    (program, file)
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "it is waited in vain until {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn top(arguments: &[&OsStr]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tenure"));
    command.arg("top").args(arguments).stdin(Stdio::null()).output().expect("the command can be run")
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).expect("it is text")
}

/// An amount as it is shown, in bytes: more or less.
fn bytes(words: &str) -> f64 {
    let (number, unit) = words.trim().split_once(' ').expect("an amount has a unit");
    let power = ["B", "KiB", "MiB", "GiB"].iter().position(|&name| name == unit).expect("a unit");
    number.parse::<f64>().unwrap() * 1024_f64.powi(power as i32)
}

#[test]
fn as_text_it_shows_the_latest_snapshot_of_a_file() {
    let (mut program, file) = growing("file");
    program.end();
    let written = fs::read_to_string(&file).unwrap();
    let last: Value = serde_json::from_str(written.lines().next_back().unwrap()).unwrap();
    let shown = text(&top(&[file.as_os_str()]));
    let once = text(&top(&["--once".as_ref(), file.as_os_str()]));
    assert_eq!(shown, once);

    assert!(shown.starts_with(&format!("tenure top  process {}  ", program.id())), "{shown}");
    assert!(shown.contains(&format!("no process {} is running here", program.id())), "{shown}");
    assert!(shown.contains("per second"), "{shown}");
    let near = |shown: f64, exact: &Value| (shown - exact.as_f64().unwrap()).abs() <= 0.06 * shown.max(1024.0);
    let committed = shown.split("committed ").nth(1).unwrap().split(',').next().unwrap();
    assert!(near(bytes(committed), &last["committed"]), "{shown}");
    let lines = ["live, small", "live spans", "live mappings", "magazines", "free in slabs", "metadata"];
    let names = ["live_in_slabs", "live_spans", "live_mappings", "in_magazines", "free_in_slabs", "metadata"];
    for (line, name) in lines.iter().zip(names) {
        // What is nothing has no line: a program of few blocks has no magazines.
        if last["balance"][name] == 0 {
            continue;
        }
        let row =
            shown.lines().find(|row| row.starts_with(line)).unwrap_or_else(|| panic!("{line} is missing: {shown}"));
        let words: Vec<_> = row.split_whitespace().collect();
        let [.., amount, unit, _, "%"] = words[..] else { panic!("{row}") };
        assert!(near(bytes(&format!("{amount} {unit}")), &last["balance"][name]), "{row}");
    }
    let classes = shown.lines().skip_while(|line| !line.trim_start().starts_with("busiest")).skip(1);
    assert!(classes.count() >= 10, "{shown}");
}

/// Two snapshots, the second of which is half a second later and as is said.
fn series_with(name: &str, change: impl Fn(&mut Value)) -> PathBuf {
    let (mut program, file) = growing(name);
    program.end();
    let mut before: Value = serde_json::from_str(fs::read_to_string(&file).unwrap().lines().next().unwrap()).unwrap();
    before["uptime_ms"] = Value::from(1000);
    let mut after = before.clone();
    after["uptime_ms"] = Value::from(1500);
    change(&mut after);
    let file = file.with_file_name("series.json");
    fs::write(&file, format!("{before}\n{after}\n")).unwrap();
    file
}

#[test]
fn allocations_and_frees_are_shown_for_each_second_and_in_all() {
    let file = series_with("totals", |after| {
        for (name, more) in [("allocations", 1_000_000), ("frees", 600_000)] {
            after[name] = Value::from(after[name].as_u64().unwrap() + more);
        }
    });
    let written = fs::read_to_string(&file).unwrap();
    let last: Value = serde_json::from_str(written.lines().next_back().unwrap()).unwrap();
    let shown = text(&top(&[file.as_os_str()]));
    let line = shown.lines().find(|line| line.starts_with("  allocations ")).unwrap_or_else(|| panic!("{shown}"));
    let so_far = line.split("; ").nth(1).unwrap().replace(',', "");
    assert!(line.contains(" 2,000,000 blocks, 1,200,000 freed; "), "{line}");
    assert_eq!(so_far, format!("{} allocated so far", last["allocations"]));
}

#[test]
fn tags_are_shown_those_with_the_most_first() {
    let tags = serde_json::json!([
        { "name": "idle", "blocks": 0, "bytes": 0 },
        { "name": "parser", "blocks": 7, "bytes": 4096 },
        { "name": "the cache", "blocks": 1234, "bytes": 1 << 20 },
    ]);
    let file = series_with("tags", |after| after["tags"] = tags.clone());
    let shown = text(&top(&[file.as_os_str()]));
    let row = |name: &str| shown.lines().position(|line| line.starts_with(name));
    let (first, second) = (row("the cache ").expect(&shown), row("parser ").expect(&shown));
    assert!(first < second && row("idle").is_none(), "{shown}");
    let line = shown.lines().nth(first).unwrap();
    assert!(line.contains(" 1,234 ") && line.contains(" 1.0 MiB "), "{line}");
    assert!(shown.lines().any(|line| line.trim_start().starts_with("busiest")), "{shown}");
}

#[test]
fn a_running_process_is_found_by_its_id() {
    let (program, _file) = growing("process");
    let shown = text(&top(&["--once".as_ref(), program.id().as_ref()]));
    assert!(shown.starts_with(&format!("tenure top  process {}  ", program.id())), "{shown}");
    assert!(!shown.contains("running here") && !shown.contains("has ended"), "{shown}");
}

#[test]
fn a_relative_name_is_relative_to_where_the_process_is() {
    let folder = folder("relative");
    let mut command = Command::new(compile("grows.c", &[]));
    command.arg("60000").current_dir(&folder).env("LD_PRELOAD", library()).env("ON_TENURE", "1");
    command.env("TENURE_STATS_EVERY", "20ms").env("TENURE_STATS_FILE", "series.json");
    let program = Growing(command.stdout(Stdio::null()).spawn().unwrap());
    let has_been_written = || fs::read_to_string(folder.join("series.json")).is_ok_and(|text| text.lines().count() > 1);
    wait_until("there are two snapshots", has_been_written);
    wait_until("it is shown", || top(&[program.id().as_ref()]).status.success());
}

/// Asserts that nothing is shown, and that one line says why.
fn assert_refused(arguments: &[&OsStr], status: i32, parts: &[&str]) {
    support::assert_refused(&top(arguments), status, parts);
}

#[test]
fn what_a_process_lacks_is_named() {
    let lacking = |settings: &[(&str, &str)], parts: &[&str]| {
        let program = Growing::new(settings);
        // Until the program has taken its place, the environment is that of this process.
        let environment = format!("/proc/{}/environ", program.id());
        wait_until("it runs", || {
            fs::read(&environment).is_ok_and(|all| all.windows(9).any(|some| some == b"ON_TENURE"))
        });
        assert_refused(&[program.id().as_ref()], 1, &[&[&*format!("process {}", program.id())], parts].concat());
    };
    lacking(&[], &["without TENURE_STATS_EVERY"]);
    lacking(&[("TENURE_STATS_EVERY", "20ms")], &["without TENURE_STATS_FILE", "standard error"]);
    let folder = folder("lacking");
    let file = folder.join("stats");
    let file = ("TENURE_STATS_FILE", file.to_str().unwrap());
    lacking(&[("TENURE_STATS_EVERY", "20ms"), ("TENURE_STATS", "text"), file], &["TENURE_STATS=text"]);
    lacking(&[("TENURE_STATS_EVERY", "20ms"), ("TENURE_STATS_PID", "1"), file], &["TENURE_STATS_PID=1"]);
    lacking(&[("TENURE_STATS_EVERY", "5"), file], &["TENURE_STATS_EVERY=5", "no time from 10ms to 24h"]);
}

#[test]
fn an_environment_that_was_written_over_is_no_reason_to_say_what_it_lacked() {
    let file = folder("written-over").join("%p.json");
    let program = Run::on_tenure(&compile("writes_over_its_environment.c", &[]));
    let program = program.env("TENURE_STATS_EVERY", "20ms").env("TENURE_STATS_FILE", file);
    let program = Growing(program.spawn(Stdio::null()));
    let environment = format!("/proc/{}/environ", program.id());
    wait_until("it is written over", || {
        fs::read(&environment).is_ok_and(|all| !all.is_empty() && all.iter().all(|&byte| byte == 0))
    });
    let process = format!("process {}", program.id());
    assert_refused(&[program.id().as_ref()], 1, &[&process, "the program has written over it", "name the file"]);
}

#[test]
fn what_is_not_there_or_no_statistics_is_named() {
    let folder = folder("refused");
    assert_refused(&["4000000000".as_ref()], 1, &["no process 4000000000"]);
    assert_refused(&[folder.join("missing").as_os_str()], 1, &["missing: cannot be read"]);
    let words = folder.join("words");
    fs::write(&words, "\nwords\n").unwrap();
    assert_refused(&[words.as_os_str()], 1, &["words:2: "]);
    fs::write(&words, "").unwrap();
    assert_refused(&[words.as_os_str()], 1, &["words: there is no snapshot"]);
    assert_refused(&[], 2, &["PID|FILE", "tenure top --help"]);
}

#[test]
fn text_that_cannot_be_written_is_said_unless_its_reader_has_gone_away() {
    let (_program, file) = growing("unwritable");
    let print = |output: Stdio| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tenure"));
        let output = command.args(["top", "--once"]).arg(&file).stdout(output).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (status, said) = print(fs::File::options().write(true).open("/dev/full").unwrap().into());
    assert!(status == Some(1) && said.starts_with("tenure: standard output cannot be written: "), "{status:?} {said}");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    assert_eq!(print(writer.into()), (Some(0), String::new()));
}

#[test]
fn a_process_whose_file_has_only_others_is_told_from_them() {
    let (_program, file) = growing("others");
    let copy = file.with_file_name("copy.json");
    fs::copy(&file, &copy).unwrap();
    let settings = [("TENURE_STATS_EVERY", "1h"), ("TENURE_STATS_FILE", copy.to_str().unwrap())];
    let other = Growing::new(&settings);
    let is_named = || {
        let output = top(&[other.id().as_ref()]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        output.status.code() == Some(1) && said.contains(&format!("no snapshot of process {}", other.id()))
    };
    wait_until("it is named", is_named);
}

/// A number of rows or columns.
fn some(number: u16) -> NonZero<u16> {
    NonZero::new(number).expect("there are some")
}

/// A terminal with the command in it.
struct Terminal {
    master: Box<dyn MasterPty + Send>,
    child: Box<dyn portable_pty::Child + Send + Sync>,
    keys: Box<dyn Write + Send>,
    screen: Arc<Mutex<vt100::Parser>>,
}

/// The command, to be started in a terminal.
fn command(target: &OsStr) -> CommandBuilder {
    let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_tenure"));
    command.args(["top".as_ref(), target]);
    command.env("TERM", "xterm-256color");
    command
}

impl Terminal {
    fn with(target: &OsStr, rows: u16, cols: u16) -> Self {
        let pair = native_pty_system().openpty(PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }).unwrap();
        let child = pair.slave.spawn_command(command(target)).unwrap();
        drop(pair.slave);
        let screen = Arc::new(Mutex::new(vt100::Parser::new(some(rows), some(cols), 0)));
        let mut reader = pair.master.try_clone_reader().unwrap();
        let keys = pair.master.take_writer().unwrap();
        thread::spawn({
            let screen = Arc::clone(&screen);
            move || {
                let mut buffer = [0; 4096];
                while let Ok(count @ 1..) = reader.read(&mut buffer) {
                    screen.lock().unwrap().process(&buffer[..count]);
                }
            }
        });
        Self { master: pair.master, child, keys, screen }
    }

    fn shown(&self) -> String {
        self.screen.lock().unwrap().screen().contents()
    }

    /// Waits until something is on the screen.
    fn wait_for(&self, what: &str) {
        let begun = Instant::now();
        while !self.shown().contains(what) {
            assert!(begun.elapsed() < PATIENCE, "`{what}` is not shown:\n{}", self.shown());
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn resize(&self, rows: u16, cols: u16) {
        self.screen.lock().unwrap().screen_mut().set_size(some(rows), some(cols));
        self.master.resize(PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }).unwrap();
    }

    /// Waits until what is on the screen has changed some times.
    fn wait_for_changes(&self, times: usize) {
        for _ in 0..times {
            let before = self.shown();
            wait_until("the figures change", || self.shown() != before);
        }
    }

    fn signal(&self, signal: i32) {
        let id = self.child.process_id().unwrap();
        // SAFETY: a process that this one has started and not waited for.
        assert_eq!(unsafe { libc::kill(id as i32, signal) }, 0);
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    /// True where lines are edited and shown as they are typed, as a shell leaves it.
    fn is_as_a_shell_wants_it(&self) -> bool {
        let mut now = std::mem::MaybeUninit::uninit();
        let file = self.master.as_raw_fd().expect("a terminal has a descriptor");
        // SAFETY: the descriptor is open, and there is room for what is asked for.
        assert_eq!(unsafe { libc::tcgetattr(file, now.as_mut_ptr()) }, 0);
        // SAFETY: written just now.
        let now: libc::termios = unsafe { now.assume_init() };
        now.c_lflag & (libc::ECHO | libc::ICANON | libc::ISIG) == libc::ECHO | libc::ICANON | libc::ISIG
    }

    /// Waits for the end, which has to be an orderly one that leaves the terminal as it was.
    fn assert_ends(mut self) {
        let child = &mut self.child;
        let mut status = None;
        wait_until("the command ends", || {
            status = child.try_wait().unwrap();
            status.is_some()
        });
        assert!(status.unwrap().success());
        let is_restored = || {
            let parser = self.screen.lock().unwrap();
            !parser.screen().alternate_screen() && !parser.screen().hide_cursor()
        };
        wait_until("the screen is the shell's again", is_restored);
        assert!(self.is_as_a_shell_wants_it());
    }
}

#[test]
fn on_a_terminal_it_follows_the_process_until_q() {
    let (mut program, file) = growing("follows");
    let mut terminal = Terminal::with(program.id().as_ref(), 50, 120);
    terminal.wait_for(&format!("tenure top  process {}", program.id()));
    terminal.wait_for("per second");
    terminal.wait_for("q ends");
    assert!(!terminal.is_as_a_shell_wants_it());
    let first = terminal.shown();
    wait_until("the figures change", || terminal.shown() != first && terminal.shown().contains("committed"));

    fs::File::options().write(true).open(&file).unwrap().set_len(0).unwrap();
    terminal.wait_for("the file was truncated");
    terminal.resize(24, 60);
    wait_until("the foot is at the new end", || {
        terminal.shown().lines().nth(23).is_some_and(|line| line.contains("q ends"))
    });
    program.end();
    terminal.wait_for(&format!("process {} has ended", program.id()));
    terminal.press("q");
    terminal.assert_ends();
}

#[test]
fn control_c_and_a_signal_end_it_too() {
    let (_program, file) = growing("ends");
    let mut terminal = Terminal::with(file.as_os_str(), 30, 100);
    terminal.wait_for("q ends");
    terminal.press("\x03");
    terminal.assert_ends();

    let terminal = Terminal::with(file.as_os_str(), 30, 100);
    terminal.wait_for("q ends");
    terminal.signal(libc::SIGTERM);
    terminal.assert_ends();
}

#[test]
fn half_a_key_keeps_nothing_waiting() {
    let (_program, file) = growing("half-a-key");
    let with_half_a_key = || {
        let mut terminal = Terminal::with(file.as_os_str(), 30, 100);
        terminal.wait_for("q ends");
        terminal.press("\x1b[");
        // What was on its way already is a change or a few.
        terminal.wait_for_changes(8);
        terminal
    };
    let terminal = with_half_a_key();
    terminal.signal(libc::SIGTERM);
    terminal.assert_ends();

    let mut terminal = with_half_a_key();
    terminal.press("q");
    terminal.assert_ends();
}

#[test]
fn a_terminal_that_hangs_up_ends_it() {
    let (_program, file) = growing("hangs-up");
    // Whose terminal it is gets a signal, too.
    for is_its_own in [true, false] {
        let size = PtySize { rows: 30, cols: 100, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).unwrap();
        let mut command = command(file.as_os_str());
        command.set_controlling_tty(is_its_own);
        let mut child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let mut screen = vt100::Parser::new(some(size.rows), some(size.cols), 0);
        let mut reader = pair.master.try_clone_reader().unwrap();
        let mut buffer = [0; 4096];
        while !screen.screen().contents().contains("q ends") {
            let count = reader.read(&mut buffer).expect("the command is there");
            screen.process(&buffer[..count]);
        }
        drop((reader, pair.master));
        let mut status = None;
        let begun = Instant::now();
        while status.is_none() {
            if begun.elapsed() > PATIENCE {
                child.kill().unwrap();
                panic!("the command does not end");
            }
            thread::sleep(Duration::from_millis(20));
            status = child.try_wait().unwrap();
        }
        assert!(status.unwrap().success());
    }
}

#[test]
fn on_a_terminal_a_file_that_is_not_there_yet_is_waited_for() {
    let folder = folder("waits");
    let file = folder.join("later.json");
    let program = Growing::new(&[("TENURE_STATS_EVERY", "1500ms"), ("TENURE_STATS_FILE", file.to_str().unwrap())]);
    let environment = format!("/proc/{}/environ", program.id());
    wait_until("it runs", || fs::read(&environment).is_ok_and(|all| all.windows(9).any(|some| some == b"ON_TENURE")));
    let mut terminal = Terminal::with(program.id().as_ref(), 40, 120);
    terminal.wait_for("waiting for the file");
    terminal.wait_for("committed");
    assert!(!terminal.shown().contains("waiting"), "{}", terminal.shown());
    terminal.press("q");
    terminal.assert_ends();
}
