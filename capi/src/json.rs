//! The statistics as a JSON object: `version`, then the figures by the names that [`Stats`] gives them.

use core::fmt::{self, Display, Formatter};
use tenure::{ClassStats, Stats};

/// Displays as one line of JSON.
pub(crate) struct Json<'a>(pub(crate) &'a Stats);

impl Display for Json<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Json(stats) = self;
        write!(f, "{{\"version\":{}", stats.version)?;
        for (name, figure) in figures(stats) {
            write!(f, ",\"{name}\":{figure}")?;
        }
        for (name, memory) in [("static_memory", &stats.static_memory), ("scopes", &stats.scopes)] {
            write!(f, ",\"{name}\":{{\"arenas\":{},\"chunks\":{},", memory.arenas, memory.chunks)?;
            write!(f, "\"capacity\":{},\"used\":{},\"dead\":{},", memory.capacity, memory.used, memory.dead)?;
            write!(f, "\"slack\":{},\"blocks\":{},", memory.slack, memory.blocks)?;
            write!(f, "\"high_water\":{},\"fallbacks\":{}}}", memory.high_water, memory.fallbacks)?;
        }
        f.write_str(",\"classes\":[")?;
        for (nth, class) in stats.classes.iter().filter(|class| class.slabs > 0).enumerate() {
            let comma = if nth == 0 { "" } else { "," };
            let ClassStats { block_size, slabs, live, in_magazines, free, remote_pending, .. } = *class;
            write!(
                f,
                "{comma}{{\"block_size\":{block_size},\"slabs\":{slabs},\"live\":{live},\"in_magazines\":{in_magazines},\
                 \"free\":{free},\"remote_pending\":{remote_pending}}}"
            )?;
        }
        f.write_str("]}")
    }
}

fn figures(stats: &Stats) -> [(&'static str, usize); 18] {
    [
        ("live_blocks", stats.live_blocks()),
        ("live_bytes", stats.live_bytes()),
        ("spans", stats.spans),
        ("span_bytes", stats.span_bytes),
        ("mappings", stats.mappings),
        ("mapping_bytes", stats.mapping_bytes),
        ("segments", stats.segments),
        ("pooled_segments", stats.pooled_segments),
        ("heaps", stats.heaps),
        ("parked_heaps", stats.parked_heaps),
        ("reserved", stats.reserved),
        ("committed", stats.committed),
        ("peak_committed", stats.peak_committed),
        ("purged", stats.purged),
        ("retained", stats.retained),
        ("free_in_slabs", stats.free_in_slabs),
        ("in_magazines", stats.in_magazines),
        ("metadata", stats.metadata),
    ]
}
