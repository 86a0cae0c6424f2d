//! Rounding: what was asked for beside what was given, by size class, where a process has counted exact bytes.

use maud::{Markup, html};

use crate::series::{Rounding, Snapshot, share};
use crate::text;

/// What was counted, by the name of a row.
fn rows(snapshot: &Snapshot) -> Vec<(String, Rounding)> {
    let classes = snapshot.classes.iter().map(|class| (text::exact(class.block_size), class.rounding));
    let large = [("spans".to_owned(), snapshot.span_rounding), ("own mappings".to_owned(), snapshot.mapping_rounding)];
    let counted = classes.chain(large).filter_map(|(name, rounding)| Some((name, rounding?)));
    counted.filter(|(_, rounding)| rounding.blocks > 0).collect()
}

/// True where the process has counted anything.
pub fn is_counted(snapshot: &Snapshot) -> bool {
    !rows(snapshot).is_empty()
}

/// A row for each size class that was asked for anything.
pub fn table(snapshot: &Snapshot) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="Rounding by size class" {
            table.rounding {
                thead {
                    tr {
                        @for head in ["Block", "Allocations", "Asked for", "Given", "Rounding", "Of given"] {
                            th.number scope="col" { (head) }
                        }
                    }
                }
                tbody {
                    @for (name, rounding) in rows(snapshot) {
                        tr {
                            th.number scope="row" { (name) }
                            td.number { (text::exact(rounding.blocks)) }
                            td.number { (text::bytes(rounding.requested)) }
                            td.number { (text::bytes(rounding.granted)) }
                            td.number { (text::bytes(rounding.waste())) }
                            td.number { (text::percent(share(rounding.waste(), rounding.granted))) }
                        }
                    }
                }
            }
        }
        p.note { "All allocations while exact bytes were counted, also those that were freed." }
    }
}
