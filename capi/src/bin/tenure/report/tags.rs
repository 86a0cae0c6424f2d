//! Tags: whose is what is in use.

use maud::{Markup, html};

use crate::series::{Process, Tag, share};
use crate::text;

/// What is in use under each tag at last, and at most in the course of time; nothing where there are no tags.
pub fn table(process: &Process) -> Markup {
    let last = process.last();
    let is_series = process.snapshots.len() > 1;
    let most = |name: &str| {
        let all = process.snapshots.iter().flat_map(|snapshot| &snapshot.tags);
        all.filter(|tag| tag.name == name).map(|tag| tag.bytes).max().unwrap_or(0)
    };
    let tagged = |figure: fn(&Tag) -> u64| last.tags.iter().map(figure).fold(0, u64::saturating_add);
    let row = |name: &str, blocks: u64, bytes: u64, most: Option<u64>| {
        html! {
            tr {
                th scope="row" { (name) }
                td.number { (text::bytes(bytes)) }
                td.number { (text::exact(bytes)) }
                td.number { (text::exact(blocks)) }
                td.number { (text::percent(share(bytes, last.live_bytes))) }
                @if is_series { td.number { @if let Some(most) = most { (text::bytes(most)) } } }
            }
        }
    };
    html! {
        div.scroll.tags tabindex="0" role="region" aria-label="Tags" {
            table {
                thead {
                    tr {
                        th scope="col" { "Tag" }
                        @for head in ["In use", "Exactly", "Blocks", "Of live"] { th.number scope="col" { (head) } }
                        @if is_series { th.number scope="col" { "Most" } }
                    }
                }
                tbody {
                    @for tag in &last.tags { (row(&tag.name, tag.blocks, tag.bytes, Some(most(&tag.name)))) }
                    (row("none", last.live_blocks.saturating_sub(tagged(|tag| tag.blocks)), last.live_bytes.saturating_sub(tagged(|tag| tag.bytes)), None))
                }
            }
        }
    }
}
