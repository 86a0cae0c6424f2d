//! The table for people.

use super::{GLOBAL, busy};
use std::hint::black_box;

/// The figure in a line of the table, in bytes, as exactly as it says.
fn bytes_of(line: &str) -> f64 {
    let mut words = line.split_whitespace().skip_while(|word| word.parse::<f64>().is_err());
    let figure: f64 = words.next().unwrap().parse().unwrap();
    let unit = ["B", "KiB", "MiB", "GiB"].into_iter().position(|unit| Some(unit) == words.clone().next()).expect(line);
    figure * 1024f64.powi(unit as i32)
}

#[test]
fn the_lines_of_the_table_add_up_to_what_is_committed() {
    let kept = busy();
    let mut stats = GLOBAL.stats();
    stats.ask_system();
    let text = stats.to_string();
    let lines = text.lines().skip_while(|line| !line.starts_with("memory ")).skip(1);
    let sum: f64 = lines.take_while(|line| !line.starts_with("  committed")).map(bytes_of).sum();
    assert!((sum / stats.balance.total() as f64 - 1.0).abs() < 0.02, "{sum}\n{text}");
    for wanted in ["  committed ", "  reserved ", "  resident ", "  untouched ", "static memory: ", "\nblock size "] {
        assert!(text.contains(wanted), "no `{wanted}`\n{text}");
    }
    assert!(text.lines().all(|line| line.len() < 120), "{text}");
    // The unit of each figure begins where that of the first does.
    let unit = |line: &str| line.find(|letter: char| letter.is_ascii_uppercase());
    let figures = text.lines().skip_while(|line| !line.starts_with("memory ")).skip(1);
    let mut units = figures.take_while(|line| line.starts_with("  ")).map(unit);
    let first = units.next().unwrap();
    assert!(units.all(|unit| unit == first), "{text}");
    black_box(kept);
}

#[test]
fn the_table_says_when_the_peak_was_forgotten() {
    drop(black_box(vec![1u8; 20 << 20]));
    GLOBAL.purge();
    assert!(!GLOBAL.stats().to_string().contains("since its reset"));
    GLOBAL.reset_peak();
    assert!(GLOBAL.stats().to_string().contains("since its reset"));
}
