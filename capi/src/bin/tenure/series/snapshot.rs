//! Snapshot: the statistics of a process at one time. `docs/stats.schema.json` says what the figures mean; those that
//! are not shown are not read.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The version of the format that is known here.
pub const VERSION: u64 = 1;

/// Bytes of a slab.
pub const SLAB: u64 = 64 * 1024;

/// Bytes, unless said otherwise.
#[derive(Clone, Debug, Deserialize)]
pub struct Snapshot {
    pub time_ms: Option<u64>,
    pub uptime_ms: Option<u64>,
    pub process_id: Option<u32>,
    pub committed: u64,
    pub peak_committed: u64,
    /// Earlier releases of the library do not say.
    pub peak_live_bytes: Option<u64>,
    pub reserved: u64,
    pub purged: u64,
    pub live_bytes: u64,
    /// A number.
    pub live_blocks: u64,
    /// A number.
    pub heaps: u64,
    /// A number.
    pub allocations: u64,
    /// A number.
    pub frees: u64,
    /// A number.
    pub mappings_allocated: u64,
    pub span_traffic: Traffic,
    /// By the names that the lines have in the format.
    pub balance: BTreeMap<String, u64>,
    pub system: Option<System>,
    /// What is in use under tags. Earlier releases of the library do not say.
    #[serde(default)]
    pub tags: Vec<Tag>,
    pub span_rounding: Option<Rounding>,
    pub mapping_rounding: Option<Rounding>,
    pub classes: Vec<Class>,
}

/// What the system says of the process.
#[derive(Clone, Debug, Deserialize)]
pub struct System {
    pub resident: u64,
    pub lazily_freed: Option<u64>,
    pub swapped: Option<u64>,
    pub not_ours: u64,
    pub untouched: u64,
}

/// What is in use under a tag.
#[derive(Clone, Debug, Deserialize)]
pub struct Tag {
    pub name: String,
    /// A number.
    pub blocks: u64,
    pub bytes: u64,
}

/// A size class. Numbers of blocks, unless said otherwise.
#[derive(Clone, Debug, Deserialize)]
pub struct Class {
    /// Bytes.
    pub block_size: u64,
    /// A number of slabs.
    pub slabs: u64,
    pub live: u64,
    pub in_magazines: u64,
    pub in_outboxes: u64,
    /// `remote_pending` included.
    pub free: u64,
    pub remote_pending: u64,
    pub traffic: Traffic,
    pub rounding: Option<Rounding>,
}

/// What was asked for and what was given while exact bytes were counted. Bytes, unless said otherwise.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Rounding {
    /// A number.
    pub blocks: u64,
    pub requested: u64,
    pub granted: u64,
}

impl Rounding {
    /// Bytes that were given and not asked for.
    pub fn waste(&self) -> u64 {
        self.granted.saturating_sub(self.requested)
    }
}

/// What passed between slabs and threads since the start.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub struct Traffic {
    pub refills: u64,
    pub refilled: u64,
    pub flushes: u64,
    pub flushed: u64,
    pub remote_frees: u64,
}

impl Class {
    /// Bytes of the slabs.
    pub fn bytes(&self) -> u64 {
        self.slabs.saturating_mul(SLAB)
    }

    /// Bytes of live blocks.
    pub fn live_bytes(&self) -> u64 {
        self.live.saturating_mul(self.block_size)
    }

    /// Bytes of blocks that are on their way: in magazines, in outboxes, or sent home and not collected.
    pub fn waiting_bytes(&self) -> u64 {
        let blocks = [self.in_magazines, self.in_outboxes, self.remote_pending];
        blocks.into_iter().fold(0, u64::saturating_add).saturating_mul(self.block_size)
    }

    /// Bytes of free blocks that have been collected.
    pub fn free_bytes(&self) -> u64 {
        self.free.saturating_sub(self.remote_pending).saturating_mul(self.block_size)
    }

    /// The part of the slabs' bytes that live blocks take.
    pub fn utilisation(&self) -> f64 {
        share(self.live_bytes(), self.bytes())
    }
}

impl Snapshot {
    /// The part of the committed memory that live blocks take.
    pub fn utilisation(&self) -> f64 {
        share(self.live_bytes, self.committed)
    }

    /// The sum of all classes' traffic and that of spans.
    pub fn traffic(&self) -> Traffic {
        let parts = self.classes.iter().map(|class| &class.traffic);
        parts.fold(self.span_traffic, |sum, part| Traffic {
            refills: sum.refills.saturating_add(part.refills),
            refilled: sum.refilled.saturating_add(part.refilled),
            flushes: sum.flushes.saturating_add(part.flushes),
            flushed: sum.flushed.saturating_add(part.flushed),
            remote_frees: sum.remote_frees.saturating_add(part.remote_frees),
        })
    }

    /// When the process began, in milliseconds since 1970.
    pub fn began_ms(&self) -> Option<u64> {
        self.time_ms?.checked_sub(self.uptime_ms?)
    }
}

/// `part` of `whole`, from 0 to 1; 0 of nothing.
pub fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { (part as f64 / whole as f64).min(1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_never_more_than_the_whole() {
        assert_eq!(share(1, 4), 0.25);
        assert_eq!(share(5, 4), 1.0);
        assert_eq!(share(5, 0), 0.0);
    }
}
