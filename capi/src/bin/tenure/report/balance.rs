//! Balance: where the committed memory is at last, as one bar and as a table.

use maud::{Markup, html};

use crate::series::{Family, Line, Snapshot, share};
use crate::text;

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 44.0;

/// Parts that are wider than this say their share themselves.
const ROOM: f64 = 52.0;

/// A line, its bytes, and where its part of the bar begins and how wide it is.
struct Part<'a> {
    line: &'a Line,
    bytes: u64,
    x: f64,
    width: f64,
}

fn parts<'a>(snapshot: &Snapshot, lines: &'a [Line]) -> Vec<Part<'a>> {
    let bytes = |line: &Line| snapshot.balance.get(&line.name).copied().unwrap_or(0);
    let whole = lines.iter().map(bytes).fold(0, u64::saturating_add);
    let mut x = 0.0;
    let part = |line: &'a Line| {
        let width = WIDTH * share(bytes(line), whole);
        x += width;
        Part { line, bytes: bytes(line), x: x - width, width }
    };
    lines.iter().map(part).collect()
}

/// The bar.
pub fn bar(snapshot: &Snapshot, lines: &[Line]) -> Markup {
    let parts = parts(snapshot, lines);
    let largest = parts.iter().max_by_key(|part| part.bytes);
    let label = largest.map_or_else(String::new, |part| {
        let (bytes, share) = (text::bytes(part.bytes), text::percent(part.width / WIDTH));
        format!(
            "Of {} committed, {bytes} ({share}) are {}; the table has all parts.",
            text::bytes(snapshot.committed),
            part.line.label
        )
    });
    html! {
        svg.bar viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } preserveAspectRatio="none" role="img" aria-label=(label) {
            @for part in parts.iter().filter(|part| part.bytes > 0) {
                rect class={ "part c-" (part.line.colour) } x=(format!("{:.2}", part.x)) width=(format!("{:.2}", part.width)) y="0" height=(HEIGHT) {
                    title { (part.line.label) ": " (text::bytes(part.bytes)) " (" (text::exact(part.bytes)) " bytes), " (text::percent(part.width / WIDTH)) }
                }
            }
        }
        div.shares aria-hidden="true" {
            @for part in parts.iter().filter(|part| part.width > ROOM) {
                span style={ "left:" (format!("{:.2}", (part.x + part.width / 2.0) / WIDTH * 100.0)) "%" } {
                    (format!("{:.0} %", part.width / WIDTH * 100.0))
                }
            }
        }
    }
}

/// The table, which is the key to the colours too. Lines that were never there are named below it.
pub fn table(snapshot: &Snapshot, lines: &[Line], absent: &[Line]) -> Markup {
    let parts = parts(snapshot, lines);
    html! {
        div.scroll tabindex="0" role="region" aria-label="Balance" {
            table.balance {
                thead { tr { th scope="col" { "Line" } th.number scope="col" { "Now" } th.number scope="col" { "Bytes" } th.number scope="col" { "Share" } th scope="col" { "What it is" } } }
                // As in the picture, the topmost comes first.
                tbody {
                    @for part in parts.iter().rev() {
                        tr {
                            th scope="row" { span class={ "key c-" (part.line.colour) } {} (part.line.label) }
                            td.number { (text::bytes(part.bytes)) }
                            td.number { (text::exact(part.bytes)) }
                            td.number { (text::percent(part.width / WIDTH)) }
                            td { (part.line.meaning) @if part.line.family == Family::Live { ", the program’s" } }
                        }
                    }
                }
                tfoot {
                    tr {
                        th scope="row" { span.key {} "committed" }
                        td.number { (text::bytes(snapshot.committed)) }
                        td.number { (text::exact(snapshot.committed)) }
                        td.number {}
                        td { "the sum" }
                    }
                    @if let Some(system) = &snapshot.system {
                        tr {
                            th scope="row" { span.key.stroke {} "resident" }
                            td.number { (text::bytes(system.resident)) }
                            td.number { (text::exact(system.resident)) }
                            td.number {}
                            td { "of the whole process in main memory, says the system" }
                        }
                    }
                }
            }
        }
        @if !absent.is_empty() {
            p.note {
                "Always zero: "
                @for (index, line) in absent.iter().enumerate() { @if index > 0 { ", " } (line.label) }
                "."
            }
        }
    }
}
