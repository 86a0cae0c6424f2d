//! Axis: which values of a scale are marked.

use crate::text;

/// About how many marks there are at most.
const MARKS: u64 = 6;

const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// Distances of times that people count in.
const TIME_STEPS: [u64; 24] = [
    1,
    2,
    5,
    10,
    20,
    50,
    100,
    200,
    500,
    SECOND,
    2 * SECOND,
    5 * SECOND,
    10 * SECOND,
    30 * SECOND,
    MINUTE,
    2 * MINUTE,
    5 * MINUTE,
    10 * MINUTE,
    30 * MINUTE,
    HOUR,
    3 * HOUR,
    6 * HOUR,
    12 * HOUR,
    DAY,
];

/// The bytes to be marked from 0 to `end`: at multiples of a power of two.
pub fn byte_marks(end: u64) -> Vec<u64> {
    let step = (end / MARKS).max(1);
    marks(0, end, step.checked_next_power_of_two().unwrap_or(1 << 63))
}

/// The times to be marked from `begin` to `end`, in milliseconds.
pub fn time_marks(begin: u64, end: u64) -> Vec<u64> {
    let wanted = (end - begin) / MARKS;
    let step = TIME_STEPS.into_iter().find(|&step| step >= wanted);
    marks(begin, end, step.unwrap_or_else(|| wanted.div_ceil(DAY).saturating_mul(DAY)))
}

/// The multiples of `step` between two values.
fn marks(begin: u64, end: u64, step: u64) -> Vec<u64> {
    let first = begin.div_ceil(step);
    (first..=end / step).map(|mark| mark * step).collect()
}

/// An amount as it is written at a mark: `48 MiB`.
pub fn byte_mark(bytes: u64) -> String {
    text::bytes(bytes).replace(".0 ", " ")
}

/// A time as it is written at a mark.
pub fn time_mark(milliseconds: u64) -> String {
    match milliseconds {
        0 => "0".to_owned(),
        _ if !milliseconds.is_multiple_of(SECOND) => format!("{} s", milliseconds as f64 / 1000.0),
        1..MINUTE => format!("{} s", milliseconds / SECOND),
        _ => humantime::format_duration(std::time::Duration::from_millis(milliseconds)).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_marked_at_multiples_of_a_power_of_two() {
        assert_eq!(byte_marks(10 << 20), [0, 2 << 20, 4 << 20, 6 << 20, 8 << 20, 10 << 20]);
        assert_eq!(byte_marks(0), [0]);
    }

    #[test]
    fn times_are_marked_at_distances_that_people_count_in() {
        assert_eq!(time_marks(3, 52), [10, 20, 30, 40, 50]);
        assert_eq!(time_marks(0, 150 * SECOND), [0, 30, 60, 90, 120, 150].map(|time| time * SECOND));
        assert_eq!(time_marks(5, 5), [5]);
    }

    #[test]
    fn there_are_few_marks_however_long_the_scale() {
        for end in [1, 1 << 10, 1 << 40, 1 << 63, u64::MAX] {
            assert!((1..=2 * MARKS as usize).contains(&byte_marks(end).len()), "{end}");
            assert!((1..=3 * MARKS as usize).contains(&time_marks(0, end).len()), "{end}");
        }
    }

    #[test]
    fn a_mark_says_its_unit() {
        assert_eq!([0, 512, 48 << 20].map(byte_mark), ["0 B", "512 B", "48 MiB"]);
        assert_eq!([0, 250, 1500, 5000, 90_000].map(time_mark), ["0", "0.25 s", "1.5 s", "5 s", "1m 30s"]);
    }
}
