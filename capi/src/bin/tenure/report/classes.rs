//! Classes: how well the slabs of each size class are used.

use maud::{Markup, html};

use crate::series::{Class, Snapshot, share};
use crate::text;

const WIDTH: f64 = 960.0;
const ROW: f64 = 19.0;
const LEFT: f64 = 84.0;
const RIGHT: f64 = 700.0;

/// What becomes of a class's slabs: colour, name and bytes of each part. What is missing to the whole is the slabs'
/// ends.
fn parts(class: &Class) -> [(&'static str, &'static str, u64); 3] {
    [
        ("live_in_slabs", "live", class.live_bytes()),
        ("in_magazines", "waiting", class.waiting_bytes()),
        ("free_in_slabs", "free", class.free_bytes()),
    ]
}

fn with_slabs(snapshot: &Snapshot) -> Vec<&Class> {
    snapshot.classes.iter().filter(|class| class.slabs > 0).collect()
}

/// The picture: a bar for each class that has slabs.
pub fn bars(snapshot: &Snapshot) -> Markup {
    let classes = with_slabs(snapshot);
    let height = ROW * (classes.len() as f64) + 4.0;
    let low = classes.iter().filter(|class| class.utilisation() < 0.5).count();
    let label = format!(
        "Utilisation of the slabs of {} size classes; {low} are less than half used. The table has the figures.",
        classes.len()
    );
    html! {
        @if classes.is_empty() {
            p.note { "No size class has slabs." }
        } @else {
            p.keys {
                @for (colour, name) in [("live_in_slabs", "live"), ("in_magazines", "waiting: magazines, outboxes, returned"), ("free_in_slabs", "free")] {
                    span { span class={ "key c-" (colour) } {} (name) } " "
                }
            }
            div.scroll tabindex="0" role="region" aria-label="Utilisation of size classes" {
                svg.chart viewBox={ "0 0 " (WIDTH) " " (height) } role="img" aria-label=(label) {
                    @for (index, class) in classes.iter().enumerate() { (row(class, index)) }
                }
            }
        }
    }
}

fn row(class: &Class, index: usize) -> Markup {
    let y = ROW * index as f64 + 2.0;
    let whole = RIGHT - LEFT;
    let mut x = LEFT;
    let parts = parts(class).map(|(colour, name, bytes)| {
        let width = (whole * share(bytes, class.bytes())).min(RIGHT - x);
        x += width;
        (colour, name, bytes, x - width, width)
    });
    html! {
        text.label x=(LEFT - 10.0) y=(y + 12.5) text-anchor="end" { (text::exact(class.block_size)) " B" }
        rect.empty x=(LEFT) y=(y) width=(whole) height=(ROW - 4.0) {}
        @for (colour, _, _, x, width) in parts {
            @if width > 0.0 {
                rect class={ "part c-" (colour) } x=(format!("{x:.1}")) y=(y) width=(format!("{width:.1}")) height=(ROW - 4.0) {}
            }
        }
        text.label x=(RIGHT + 54.0) y=(y + 12.5) text-anchor="end" { (text::percent(class.utilisation())) }
        text.mark x=(RIGHT + 66.0) y=(y + 12.5) { "of " (text::bytes(class.bytes())) " in " (text::exact(class.slabs)) @if class.slabs == 1 { " slab" } @else { " slabs" } }
        rect.spot x="0" y=(y - 2.0) width=(WIDTH) height=(ROW) {
            title {
                "blocks of " (text::exact(class.block_size)) " bytes: " (text::percent(class.utilisation())) " of " (text::exact(class.bytes())) " bytes"
                @for (_, name, bytes, _, _) in parts { "\n" (name) ": " (text::bytes(bytes)) " (" (text::exact(bytes)) " bytes)" }
            }
        }
    }
}

/// All figures of all classes.
pub fn table(snapshot: &Snapshot) -> Markup {
    html! {
        details {
            summary { "Figures of each size class" }
            div.scroll tabindex="0" role="region" aria-label="Figures of size classes" {
                table {
                    thead {
                        tr {
                            @for head in ["Block", "Slabs", "Live", "Magazines", "Outboxes", "Returned", "Free", "Used", "Refills", "Refilled", "Flushes", "Flushed", "Remote frees"] {
                                th.number scope="col" { (head) }
                            }
                        }
                    }
                    tbody {
                        @for class in &snapshot.classes {
                            tr {
                                th.number scope="row" { (text::exact(class.block_size)) }
                                @for figure in [class.slabs, class.live, class.in_magazines, class.in_outboxes, class.remote_pending, class.free.saturating_sub(class.remote_pending)] {
                                    td.number { (text::exact(figure)) }
                                }
                                td.number { (text::percent(class.utilisation())) }
                                @for figure in [class.traffic.refills, class.traffic.refilled, class.traffic.flushes, class.traffic.flushed, class.traffic.remote_frees] {
                                    td.number { (text::exact(figure)) }
                                }
                            }
                        }
                    }
                }
            }
            p.note { "Numbers of blocks, but for slabs, refills and flushes. What passes between slabs and magazines is counted, not what magazines serve." }
        }
    }
}
