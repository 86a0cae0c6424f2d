//! Balance: where the committed memory is, as a bar and as a table.

use maud::{Markup, html};

use crate::series::{Line, Snapshot, share};
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
        let whole = text::bytes(snapshot.committed);
        format!("Of {whole} committed, {bytes} ({share}) are {}; the table has all parts.", part.line.label)
    });
    html! {
        svg.bar viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } preserveAspectRatio="none" role="img" aria-label=(label) {
            @for part in parts.iter().filter(|part| part.bytes > 0) {
                rect class={ "part c-" (part.line.colour) } x=(hundredth(part.x)) width=(hundredth(part.width)) y="0" height=(HEIGHT) {
                    title { (part.line.label) ": " (text::bytes(part.bytes)) " (" (text::exact(part.bytes)) " bytes), " (text::percent(part.width / WIDTH)) }
                }
            }
        }
        div.shares aria-hidden="true" {
            @for part in parts.iter().filter(|part| part.width > ROOM) {
                span style={ "left:" (hundredth((part.x + part.width / 2.0) / WIDTH * 100.0)) "%" } {
                    (format!("{:.0} %", part.width / WIDTH * 100.0))
                }
            }
        }
    }
}

fn hundredth(coordinate: f64) -> String {
    format!("{coordinate:.2}")
}

/// The table, which is the key to the colours too: the last snapshot, and beside it the one with the most memory, where
/// that is another. Lines that were never there are named below it.
pub fn table(last: &Snapshot, most: Option<&Snapshot>, lines: &[Line], absent: &[Line]) -> Markup {
    let of_most = most.map(|most| parts(most, lines));
    html! {
        div.scroll tabindex="0" role="region" aria-label="Balance" {
            table.balance {
                thead {
                    tr {
                        th scope="col" { "Line" }
                        @if most.is_some() { th.number scope="col" { "At most" } }
                        th.number scope="col" { "At last" }
                        th.number scope="col" { "Bytes at last" }
                        th.number scope="col" { "Share" }
                        th scope="col" { "What it is" }
                    }
                }
                // As in the picture, the topmost comes first.
                tbody {
                    @for (index, part) in parts(last, lines).iter().enumerate().rev() {
                        tr {
                            th scope="row" { span class={ "key c-" (part.line.colour) } {} (part.line.label) }
                            @if let Some(most) = &of_most { td.number { (text::bytes(most[index].bytes)) } }
                            td.number { (text::bytes(part.bytes)) }
                            td.number { (text::exact(part.bytes)) }
                            td.number { (text::percent(part.width / WIDTH)) }
                            td { (part.line.meaning) }
                        }
                    }
                }
                tfoot {
                    (whole("", "committed", most.map(|most| most.committed), last.committed, "the sum"))
                    @if let Some(system) = &last.system {
                        @let of_most = most.map(|most| most.system.as_ref().map_or(0, |system| system.resident));
                        (whole("stroke", "resident", of_most, system.resident, "of the whole process in main memory, says the system"))
                    }
                }
            }
        }
        @if !absent.is_empty() {
            p.note {
                "Always zero: "
                @for (index, line) in absent.iter().enumerate() { @if index > 0 { "; " } (line.label) }
                "."
            }
        }
    }
}

/// A row of what is no part.
fn whole(key: &str, label: &str, most: Option<u64>, last: u64, meaning: &str) -> Markup {
    html! {
        tr {
            th scope="row" { span class={ "key " (key) } {} (label) }
            @if let Some(most) = most { td.number { (text::bytes(most)) } }
            td.number { (text::bytes(last)) }
            td.number { (text::exact(last)) }
            td.number {}
            td { (meaning) }
        }
    }
}
