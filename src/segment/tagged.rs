//! Mappings under tags: how many blocks with a mapping of their own are in use under each, and how many bytes they
//! have.

use super::Counters;
use crate::sync::{AtomicUsize, Ordering, constructor};

/// Mappings in use under one tag.
pub(super) struct Tagged {
    blocks: AtomicUsize,
    bytes: AtomicUsize,
}

impl Tagged {
    constructor! {
        pub(super) fn new() -> Self {
            Self { blocks: AtomicUsize::new(0), bytes: AtomicUsize::new(0) }
        }
    }
}

impl Counters {
    fn under(&self, tag: u8) -> Option<&Tagged> {
        self.tagged.get(usize::from(tag).checked_sub(1)?)
    }

    /// Counts under `tag`, if that is one, that so many blocks and bytes have become so many others.
    pub(super) fn recount_mappings(&self, tag: u8, blocks: [usize; 2], bytes: [usize; 2]) {
        if let Some(tagged) = self.under(tag) {
            tagged.blocks.fetch_add(blocks[1].wrapping_sub(blocks[0]), Ordering::Relaxed);
            tagged.bytes.fetch_add(bytes[1].wrapping_sub(bytes[0]), Ordering::Relaxed);
        }
    }

    /// Blocks with a mapping of their own that are in use under `tag`, and their bytes.
    pub(crate) fn mappings_under(&self, tag: u8) -> (usize, usize) {
        let count = |tagged: &Tagged| (tagged.blocks.load(Ordering::Relaxed), tagged.bytes.load(Ordering::Relaxed));
        self.under(tag).map_or((0, 0), count)
    }
}
