//! A log's lines against a set of patterns, which are compiled anew for every file, as a command-line tool does.

use crate::input::{Checksum, FixedHash, Words};
use crate::{Scale, Threads, Workload};
use fastrand::Rng;
use regex::Regex;
use std::collections::HashMap;
use std::fmt::Write;

pub const WORKLOAD: Workload = Workload {
    name: "regex-logs",
    about: "compiles 10 patterns for each log of 2000 lines, matches, captures and replaces (regex)",
    threads: Threads::One,
    run,
};

const LOGS: usize = 100;

const PATTERNS: [&str; 10] = [
    r"^(?P<host>\d{1,3}(?:\.\d{1,3}){3}) - (?P<user>\S+) \[(?P<time>[^\]]+)\]",
    r#""(?P<method>GET|POST|PUT|DELETE) (?P<path>/[^ ?"]*)(?:\?(?P<query>[^ "]*))? HTTP/1\.[01]""#,
    r"(?i)\b(?:error|warning|fail(?:ed|ure)?|panic(?:ked)?)\b",
    r"\b[[:alpha:]_][[:alnum:]_]{2,20}=(?:\d+|'[^']*')",
    r"(\w+)@(\w+)\.(com|org|net)",
    r"\b(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2}):(\d{2})",
    r"(?:0x)?[0-9a-f]{8,16}\b",
    r"(?x) \b ( [a-z]+ ) \s+ (?: in | de | la ) \s+ ( [a-z]+ ) \b",
    r"[A-Z][a-z]+(?: [a-z]+){3,5}\.",
    r#"" (?:2\d\d|3\d\d) (?P<bytes>\d+)$"#,
];

fn run(scale: &Scale) -> u64 {
    let words = Words::new(13, 3000);
    let logs: Vec<Vec<String>> = (0..6).map(|seed| log(&words, &mut Rng::with_seed(seed))).collect();
    let mut checksum = Checksum::new();
    for round in 0..scale.of(LOGS) {
        checksum.add(examine(&logs[round % logs.len()]));
    }
    checksum.value()
}

/// What the patterns find in a log, and its lines' length after addresses are made unreadable.
fn examine(log: &[String]) -> (usize, usize, usize) {
    let patterns: Vec<Regex> =
        PATTERNS.iter().map(|pattern| Regex::new(pattern).expect("the pattern is valid")).collect();
    let mut counts: HashMap<String, usize, FixedHash> = HashMap::default();
    let mut length = 0;
    for line in log {
        for pattern in &patterns {
            for captures in pattern.captures_iter(line) {
                let last = captures.iter().flatten().last().expect("the whole match is a group");
                *counts.entry(last.as_str().to_owned()).or_default() += 1;
            }
        }
        length += patterns[4].replace_all(line, "$1@[$2]").len();
    }
    (counts.len(), counts.values().copied().max().unwrap_or(0), length)
}

fn log(words: &Words, random: &mut Rng) -> Vec<String> {
    (0..2000).map(|_| line(words, random).expect("a string takes all")).collect()
}

fn line(words: &Words, random: &mut Rng) -> Result<String, std::fmt::Error> {
    let mut line = String::new();
    if random.bool() {
        let method = ["GET", "POST", "PUT", "DELETE"][random.usize(..4)];
        write!(line, "10.{}.{}.{} - {} ", random.u8(..), random.u8(..), random.u8(..), words.pick(random))?;
        write!(line, "[2031-{:02}-{:02}T{:02}:00:00] ", random.u8(1..13), random.u8(1..29), random.u8(..24))?;
        write!(line, "\"{method} /{}/{}?id={} HTTP/1.1\" ", words.pick(random), words.pick(random), random.u16(..))?;
        write!(line, "{} {}", 200 + 100 * random.u16(..4), random.u32(..100_000))?;
    } else {
        let level = ["INFO", "debug", "WARNING", "Error"][random.usize(..4)];
        write!(line, "{level}: {} {}@{}.org ", words.text(random, 9), words.pick(random), words.pick(random))?;
        write!(line, "{}='{}' at {:#x}", words.pick(random), words.pick(random), random.u64(..))?;
    }
    Ok(line)
}
