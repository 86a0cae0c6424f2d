//! What a child says of a fault, taken apart.

use crate::support::process::{command, end_after, part, set_limit};
use std::collections::HashMap;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output, Stdio};

/// What a child has said, and how it ended.
pub struct Report {
    pub signal: Option<i32>,
    pub code: Option<i32>,
    /// The lines that begin with `tenure: `.
    pub lines: Vec<String>,
    /// What is said before each stack, and the stack.
    pub stacks: Vec<(String, Vec<Frame>)>,
    pub all: String,
    pub block: usize,
    sites: HashMap<String, usize>,
}

pub struct Frame {
    pub address: usize,
    pub file: Option<(String, usize)>,
}

fn hexadecimal(text: &str) -> usize {
    usize::from_str_radix(text.trim_start_matches("0x"), 16).unwrap_or_else(|_| panic!("{text} is no number"))
}

/// Runs `body` for each case, in a process of its own, and has `check` look at what it says. In such a process, does
/// not return.
pub fn of_each<T>(cases: &[T], body: impl Fn(&T), check: impl Fn(&T, &Report)) {
    if let Some(nth) = part() {
        end_after(120);
        // No core dumps of what is meant to happen.
        set_limit(libc::RLIMIT_CORE, 0).unwrap();
        body(&cases[nth.parse::<usize>().unwrap()]);
        std::process::exit(0);
    }
    for (nth, case) in cases.iter().enumerate() {
        check(case, &run(&mut command(&nth.to_string())));
    }
}

/// Runs `body` in a process of its own, with settings, and takes apart what it says. In that process, does not return.
pub fn of_with(settings: &[(&str, &str)], body: impl Fn()) -> Report {
    if part().is_some() {
        of_each(&[()], |()| body(), |(), _| {});
    }
    run(command("0").envs(settings.iter().copied()))
}

/// As [`of_with`], without settings.
pub fn of(body: impl Fn()) -> Report {
    of_with(&[], body)
}

/// Runs `body` in a process of its own, whose standard error nobody reads until it has written [`READ`] to its standard
/// output, and takes apart what it says. In that process, does not return.
pub fn of_unread(body: impl Fn()) -> Report {
    if part().is_some() {
        of_each(&[()], |()| body(), |(), _| {});
    }
    let mut child = command("0").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let (mut said, mut piece) = (Vec::new(), [0; 256]);
    while !said.contains(&READ) {
        match stdout.read(&mut piece).unwrap() {
            0 => break,
            len => said.extend_from_slice(&piece[..len]),
        }
    }
    take_apart(&child.wait_with_output().unwrap())
}

/// Has standard error read.
pub const READ: u8 = 7;

fn run(command: &mut Command) -> Report {
    take_apart(&command.output().unwrap())
}

fn take_apart(output: &Output) -> Report {
    let (stdout, all) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let mut report = Report {
        signal: output.status.signal(),
        code: output.status.code(),
        lines: Vec::new(),
        stacks: Vec::new(),
        all: format!("{}\n{stdout}{all}", output.status),
        block: 0,
        sites: HashMap::new(),
    };
    for line in all.lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        if let Some(line) = line.strip_prefix("tenure: ") {
            // What tells a child its part is no setting.
            if line.starts_with("TENURE_TEST_") {
                continue;
            }
            report.lines.push(line.to_owned());
        } else if line.starts_with("    #") {
            let file = words.get(2).and_then(|file| file.rsplit_once('+'));
            let file = file.map(|(name, offset)| (name.to_owned(), hexadecimal(offset)));
            let (_, frames) = report.stacks.last_mut().expect("a stack has a heading");
            assert_eq!(words[0], format!("#{}", frames.len()));
            frames.push(Frame { address: hexadecimal(words[1]), file });
        } else if let Some(heading) = line.strip_prefix("  ").and_then(|line| line.strip_suffix(" at:")) {
            report.stacks.push((heading.to_owned(), Vec::new()));
        }
    }
    for line in stdout.lines() {
        match line.split_whitespace().collect::<Vec<_>>()[..] {
            ["block", address] => report.block = hexadecimal(address),
            ["site", name, address] => _ = report.sites.insert(name.to_owned(), hexadecimal(address)),
            _ => {}
        }
    }
    report
}

impl Report {
    /// Panics unless the process ended by `signal`, with one line, which has all of `parts`.
    pub fn assert_says(&self, signal: i32, parts: &[&str]) {
        assert_eq!(self.signal, Some(signal), "{}", self.all);
        let [line] = &self.lines[..] else { panic!("{}", self.all) };
        for part in parts {
            assert!(line.contains(part), "'{part}' is missing: {}", self.all);
        }
        assert!(line.contains(&format!("{:#x}", self.block)), "{}", self.all);
    }

    /// Panics unless the stacks are these, each by a part of its heading and a function that is on it.
    pub fn assert_stacks(&self, expected: &[(&str, &str)]) {
        assert_eq!(self.stacks.len(), expected.len(), "{}", self.all);
        for ((heading, frames), (part, site)) in self.stacks.iter().zip(expected) {
            assert!(heading.contains(part), "'{part}' is missing in '{heading}': {}", self.all);
            let site = self.sites[*site];
            let is_there = |frame: &Frame| (site..site + 448).contains(&frame.address);
            let found = frames.iter().find(|frame| is_there(frame));
            let found = found.unwrap_or_else(|| panic!("no function of '{part}': {}", self.all));
            let (name, offset) = found.file.as_ref().expect("the file is known");
            assert_eq!(name, std::env::current_exe().unwrap().to_str().unwrap());
            // This program may be loaded anywhere, in whole pages.
            assert_eq!(offset % 4096, found.address % 4096);
        }
    }

    /// Panics unless nothing was said, and the process ended by `signal`.
    pub fn assert_silent(&self, signal: i32) {
        assert_eq!((self.signal, self.lines.len(), self.stacks.len()), (Some(signal), 0, 0), "{}", self.all);
    }
}
