//! Figures: what is to be said of a process in numbers, at last and in the course of time.

use maud::{Markup, html};

use crate::series::{Process, Snapshot};
use crate::text;

/// How a figure is written.
#[derive(Clone, Copy)]
enum Unit {
    Bytes,
    Number,
}

impl Unit {
    fn short(self, figure: u64) -> String {
        match self {
            Self::Bytes => text::bytes(figure),
            Self::Number => text::exact(figure),
        }
    }
}

/// A figure of a snapshot, where it is known.
type Figure = (&'static str, Unit, fn(&Snapshot) -> Option<u64>);

const FIGURES: [Figure; 20] = [
    ("Committed", Unit::Bytes, |snapshot| Some(snapshot.committed)),
    ("Peak of committed", Unit::Bytes, |snapshot| Some(snapshot.peak_committed)),
    ("Live", Unit::Bytes, |snapshot| Some(snapshot.live_bytes)),
    ("Peak of live, with what waits at threads’ hands", Unit::Bytes, |snapshot| snapshot.peak_live_bytes),
    ("Live blocks", Unit::Number, |snapshot| Some(snapshot.live_blocks)),
    ("Resident, says the system", Unit::Bytes, |snapshot| Some(snapshot.system.as_ref()?.resident)),
    ("Resident but not the allocator’s", Unit::Bytes, |snapshot| Some(snapshot.system.as_ref()?.not_ours)),
    ("Committed but never touched", Unit::Bytes, |snapshot| Some(snapshot.system.as_ref()?.untouched)),
    ("Lazily freed", Unit::Bytes, |snapshot| snapshot.system.as_ref()?.lazily_freed),
    ("Swapped", Unit::Bytes, |snapshot| snapshot.system.as_ref()?.swapped),
    ("Address space", Unit::Bytes, |snapshot| Some(snapshot.reserved)),
    ("Given back to the system so far", Unit::Bytes, |snapshot| Some(snapshot.purged)),
    ("Heaps", Unit::Number, |snapshot| Some(snapshot.heaps)),
    ("Allocations so far", Unit::Number, |snapshot| Some(snapshot.allocations)),
    ("Frees so far", Unit::Number, |snapshot| Some(snapshot.frees)),
    ("Blocks that went from slabs to threads so far", Unit::Number, |snapshot| Some(snapshot.traffic().refilled)),
    ("Refills so far", Unit::Number, |snapshot| Some(snapshot.traffic().refills)),
    ("Blocks that went back so far", Unit::Number, |snapshot| Some(snapshot.traffic().flushed)),
    ("Remote frees so far", Unit::Number, |snapshot| Some(snapshot.traffic().remote_frees)),
    ("Blocks with a mapping of their own so far", Unit::Number, |snapshot| Some(snapshot.mappings_allocated)),
];

/// The figures that matter most.
pub fn tiles(process: &Process) -> Markup {
    let last = process.last();
    let peak = process.snapshots.iter().map(|snapshot| snapshot.peak_committed).max().unwrap_or(0);
    let tile = |label: &str, figure: String, beside: String| {
        html! { div.tile { dt { (label) } dd { strong { (figure) } " " span { (beside) } } } }
    };
    html! {
        dl.tiles {
            (tile("Committed", text::bytes(last.committed), format!("{} bytes", text::exact(last.committed))))
            (tile("Peak", text::bytes(peak), "committed at most".to_owned()))
            (tile("Live", text::bytes(last.live_bytes), format!("{} blocks", text::exact(last.live_blocks))))
            (tile("Utilisation", text::percent(last.utilisation()), "of committed is live".to_owned()))
            @if let Some(system) = &last.system {
                (tile("Resident", text::bytes(system.resident), "says the system".to_owned()))
            }
        }
    }
}

/// All figures; of a series also the least and the most.
pub fn table(process: &Process) -> Markup {
    let is_series = process.snapshots.len() > 1;
    html! {
        div.scroll tabindex="0" role="region" aria-label="Figures" {
            table {
                thead {
                    tr {
                        th scope="col" { "Figure" }
                        th.number scope="col" { @if is_series { "Last" } @else { "Value" } }
                        th.number scope="col" { "Exactly" }
                        @if is_series { th.number scope="col" { "First" } th.number scope="col" { "Least" } th.number scope="col" { "Most" } }
                    }
                }
                tbody {
                    @for (label, unit, figure) in FIGURES {
                        @if let Some(last) = figure(process.last()) {
                            @let all = || process.snapshots.iter().filter_map(figure);
                            tr {
                                th scope="row" { (label) }
                                td.number { (unit.short(last)) }
                                td.number { (text::exact(last)) }
                                @if is_series {
                                    @for course in [all().next(), all().min(), all().max()] { td.number { @if let Some(value) = course { (unit.short(value)) } } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
