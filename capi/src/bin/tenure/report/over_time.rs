//! Memory over time: the lines of the balance, stacked, and what the system says is resident.

use std::fmt::Write;

use maud::{Markup, html};

use super::axis;
use crate::series::{Line, Process, Snapshot};
use crate::text;

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 340.0;
const LEFT: f64 = 76.0;
const RIGHT: f64 = 948.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 306.0;

/// Snapshots that are drawn at most: as many as there are places to point at.
const MOST: usize = 400;

/// Where a snapshot is in the picture, and what it is.
struct Point<'a> {
    x: f64,
    snapshot: &'a Snapshot,
}

/// Memory as a height in the picture.
#[derive(Clone, Copy)]
struct Height {
    end: u64,
}

impl Height {
    fn y(self, bytes: u64) -> f64 {
        BOTTOM - (BOTTOM - TOP) * bytes as f64 / self.end.max(1) as f64
    }
}

/// The picture of a process; for one with at least two snapshots.
pub fn over_time(process: &Process, lines: &[Line]) -> Markup {
    let chosen = thin(&process.snapshots, MOST);
    let (begin, end) = (process.clock_ms(process.first()), process.clock_ms(process.last()));
    let end = end.max(begin);
    let x = |time: u64| {
        LEFT + (RIGHT - LEFT) * time.clamp(begin, end).saturating_sub(begin) as f64 / (end - begin).max(1) as f64
    };
    let points: Vec<_> = chosen.iter().map(|&snapshot| Point { x: x(process.clock_ms(snapshot)), snapshot }).collect();
    let most =
        |snapshot: &Snapshot| stack(snapshot, lines).last().copied().unwrap_or(0).max(resident(snapshot).unwrap_or(0));
    let height = Height { end: chosen.iter().map(|snapshot| most(snapshot)).max().unwrap_or(0) };
    let label = format!(
        "Committed memory from {} to {} after the process began: from {} at first to {} at last, {} at most.",
        text::span(begin),
        text::span(end),
        text::bytes(process.first().committed),
        text::bytes(process.last().committed),
        text::bytes(process.last().peak_committed),
    );
    html! {
        div.scroll tabindex="0" role="region" aria-label="Memory over time" {
            svg.chart viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label=(label) {
                @for mark in axis::byte_marks(height.end) {
                    line.grid x1=(LEFT) x2=(RIGHT) y1=(at(height.y(mark))) y2=(at(height.y(mark))) {}
                    text.mark x=(LEFT - 8.0) y=(at(height.y(mark) + 4.0)) text-anchor="end" { (axis::byte_mark(mark)) }
                }
                @for (index, line) in lines.iter().enumerate() {
                    path class={ "area c-" (line.colour) } d=(area(&points, lines, index, height)) {}
                }
                @if points.iter().any(|point| point.snapshot.system.is_some()) {
                    path.resident-edge d=(resident_line(&points, height)) {}
                    path.resident d=(resident_line(&points, height)) {}
                }
                @for mark in axis::time_marks(begin, end) {
                    line.tick x1=(at(x(mark))) x2=(at(x(mark))) y1=(BOTTOM) y2=(BOTTOM + 5.0) {}
                    text.mark x=(at(x(mark))) y=(BOTTOM + 20.0) text-anchor="middle" { (axis::time_mark(mark)) }
                }
                @for (index, point) in points.iter().enumerate() {
                    @let (left, right) = reach(&points, index);
                    rect.spot x=(at(left)) width=(at(right - left)) y=(TOP) height=(BOTTOM - TOP) {
                        title { (tip(process, point.snapshot, lines)) }
                    }
                }
            }
        }
        @if chosen.len() < process.snapshots.len() {
            p.note {
                (chosen.len()) " of " (text::exact(process.snapshots.len() as u64))
                " snapshots are drawn: of each stretch of time the one with the most committed memory, and the last."
            }
        }
    }
}

/// At most `most` snapshots, and the last: of as many that follow each other, the one with the most memory.
fn thin(snapshots: &[Snapshot], most: usize) -> Vec<&Snapshot> {
    let together = snapshots.len().div_ceil(most).max(1);
    let peaks = snapshots.chunks(together).filter_map(|some| some.iter().max_by_key(|snapshot| snapshot.committed));
    let mut chosen: Vec<_> = peaks.collect();
    let last = &snapshots[snapshots.len() - 1];
    if chosen.last().is_some_and(|chosen| !std::ptr::eq(*chosen, last)) {
        chosen.push(last);
    }
    chosen
}

fn resident(snapshot: &Snapshot) -> Option<u64> {
    snapshot.system.as_ref().map(|system| system.resident)
}

/// The height of each line's upper edge, in bytes.
fn stack(snapshot: &Snapshot, lines: &[Line]) -> Vec<u64> {
    let bytes = lines.iter().map(|line| snapshot.balance.get(&line.name).copied().unwrap_or(0));
    let edges = bytes.scan(0, |sum: &mut u64, bytes| {
        *sum = sum.saturating_add(bytes);
        Some(*sum)
    });
    edges.collect()
}

/// The outline of a line's area: along its upper edge, and back along its lower one.
fn area(points: &[Point<'_>], lines: &[Line], index: usize, height: Height) -> String {
    let upper = |point: &Point<'_>| stack(point.snapshot, lines)[index];
    let lower = |point: &Point<'_>| index.checked_sub(1).map_or(0, |below| stack(point.snapshot, lines)[below]);
    let there = points.iter().map(|point| (point.x, height.y(upper(point))));
    let back = points.iter().rev().map(|point| (point.x, height.y(lower(point))));
    path(there.chain(back)) + "Z"
}

/// The course of resident memory; broken where the system has said nothing.
fn resident_line(points: &[Point<'_>], height: Height) -> String {
    let stretches = points.split(|point| point.snapshot.system.is_none());
    let ends = |point: &Point<'_>| (point.x, height.y(resident(point.snapshot).unwrap_or(0)));
    stretches.map(|stretch| path(stretch.iter().map(ends))).collect()
}

fn path(points: impl Iterator<Item = (f64, f64)>) -> String {
    let mut path = String::new();
    for (index, (x, y)) in points.enumerate() {
        let _ = write!(path, "{}{} {}", if index == 0 { 'M' } else { 'L' }, at(x), at(y));
    }
    path
}

/// A coordinate, to a tenth.
fn at(coordinate: f64) -> String {
    format!("{coordinate:.1}")
}

/// From where to where a point is the nearest.
fn reach(points: &[Point<'_>], index: usize) -> (f64, f64) {
    let between = |one: usize, other: usize| (points[one].x + points[other].x) / 2.0;
    let left = if index == 0 { LEFT } else { between(index - 1, index) };
    let right = if index + 1 == points.len() { RIGHT } else { between(index, index + 1) };
    (left, right.max(left))
}

/// What is said where somebody points at a snapshot.
fn tip(process: &Process, snapshot: &Snapshot, lines: &[Line]) -> String {
    let figure = |label: &str, bytes: u64| format!("\n{label}: {} ({} bytes)", text::bytes(bytes), text::exact(bytes));
    let mut tip = format!("after {}", text::span(process.clock_ms(snapshot)));
    tip += &figure("committed", snapshot.committed);
    tip.extend(resident(snapshot).map(|bytes| figure("resident", bytes)));
    let lines = lines.iter().rev().map(|line| (line, snapshot.balance.get(&line.name).copied().unwrap_or(0)));
    tip.extend(lines.filter(|(_, bytes)| *bytes > 0).map(|(line, bytes)| figure(&line.label, bytes)));
    tip
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::snapshot_of;

    fn with_committed(committed: u64) -> Snapshot {
        let value = serde_json::from_str(&tenure::Tenure::new().stats().json().to_string()).unwrap();
        Snapshot { committed, ..snapshot_of(value).unwrap() }
    }

    #[test]
    fn of_many_snapshots_the_peaks_and_the_last_are_drawn() {
        let snapshots: Vec<_> = (0..1000).map(|index| with_committed(if index == 501 { 9 } else { 1 })).collect();
        let chosen = thin(&snapshots, 100);
        assert!(chosen.len() <= 101);
        assert!(chosen.iter().any(|snapshot| snapshot.committed == 9));
        assert!(std::ptr::eq(chosen[chosen.len() - 1], &snapshots[999]));
        assert_eq!(thin(&snapshots[..3], 100).len(), 3);
    }
}
