//! Pages of a slab in which no block is in use: they can go back to the system while other blocks of the slab stay.
//!
//! Which pages those are is read off the bitmap. What waits in a magazine, an outbox or the remote words is no free
//! block there, so nobody has to be asked. A page that was given back reads as zero when a block of it is handed out
//! again, which is all that a program can notice.
//!
//! ```text
//! purged (bit set): the page is not resident, every block that touches it is free (bit set in the bitmap), and none of
//!                   its bytes is committed
//! ```
//!
//! Of some classes the last pages lie wholly behind the last block, and no block ever needs them. They are noted apart,
//! so that a slab whose blocks have all their pages is a slab like any other.

use super::{Blocks, Slab};
use crate::size_class::SLOT_SIZE;
use crate::sync::Ordering;

/// Most pages of a slot: one bit each. The smallest pages there are have 4 KiB.
const MAX_PAGES: usize = 16;

const _: () = assert!(SLOT_SIZE / MAX_PAGES == 4096);

/// Pages of a slot: bit p stands for page p.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Pages(u16);

impl Pages {
    /// All pages of a slot, of `page_size` bytes each.
    fn all(page_size: usize) -> Self {
        let count = (SLOT_SIZE / page_size).min(MAX_PAGES);
        Pages(((1u32 << count) - 1) as u16)
    }

    /// The pages that lie behind the last block.
    fn rest(blocks: Blocks, page_size: usize) -> Self {
        let end = (blocks.count() * blocks.size()).div_ceil(page_size);
        Pages(Self::all(page_size).0 & !Self::run(0, end).0)
    }

    pub(crate) fn count(self) -> usize {
        self.0.count_ones() as usize
    }

    /// The lowest run of neighbouring pages, its first and their number, which is taken out.
    pub(crate) fn take_run(&mut self) -> Option<(usize, usize)> {
        if self.0 == 0 {
            return None;
        }
        let first = self.0.trailing_zeros() as usize;
        let count = (self.0 >> first).trailing_ones() as usize;
        self.0 &= !Self::run(first, count).0;
        Some((first, count))
    }

    fn run(first: usize, count: usize) -> Self {
        Pages((((1u32 << count) - 1) << first) as u16)
    }
}

impl Slab {
    /// The pages of this slab that were given back; a snapshot when another thread owns it.
    pub(crate) fn purged(&self) -> Pages {
        Pages(self.missing().0 | self.purged_rest.load(Ordering::Relaxed))
    }

    /// Those of them that blocks lie in.
    fn missing(&self) -> Pages {
        Pages(self.purged.load(Ordering::Relaxed))
    }

    /// True where pages of this slab were given back that blocks will need.
    #[inline(always)]
    pub(crate) fn has_purged(&self) -> bool {
        self.purged.load(Ordering::Relaxed) != 0
    }

    /// True where pages of this slab were given back, whether blocks will need them or not. Owner-only.
    pub(crate) fn lacks_pages(&self) -> bool {
        self.purged() != Pages(0)
    }

    /// The pages in which no block is in use and which have not been given back. Owner-only.
    pub(super) fn purgeable(&self, blocks: Blocks, page_size: usize) -> Pages {
        // Most slabs have less than that.
        if (blocks.count() - self.free()) * blocks.size() + page_size > SLOT_SIZE {
            return Pages(0);
        }
        Pages(self.free_pages(blocks, page_size, Pages::all(page_size)).0 & !self.purged().0)
    }

    /// Those of `among` in which no block is in use.
    fn free_pages(&self, blocks: Blocks, page_size: usize, among: Pages) -> Pages {
        let mut left = among.0;
        let mut free = 0;
        while left != 0 {
            let page = left.trailing_zeros() as usize;
            left &= left - 1;
            let first = page * page_size / blocks.size();
            let end = ((page + 1) * page_size).div_ceil(blocks.size()).min(blocks.count());
            if self.are_free(first, end) {
                free |= 1 << page;
            }
        }
        Pages(free)
    }

    /// True where every block from `first` up to `end` is free; also where there is none.
    fn are_free(&self, first: usize, end: usize) -> bool {
        let mut next = first;
        while next < end {
            let (word, bit) = (next / 64, next % 64);
            let count = (end - next).min(64 - bit);
            let mask = (u64::MAX >> (64 - count)) << bit;
            if self.word(word).get() & mask != mask {
                return false;
            }
            next += count;
        }
        true
    }

    /// Takes note that `count` pages from `first` on were given back. Owner-only.
    pub(crate) fn note_purged(&self, blocks: Blocks, page_size: usize, first: usize, count: usize) {
        let (given, rest) = (Pages::run(first, count).0, Pages::rest(blocks, page_size).0);
        self.purged.store(self.missing().0 | given & !rest, Ordering::Relaxed);
        self.purged_rest.store(self.purged_rest.load(Ordering::Relaxed) | given & rest, Ordering::Relaxed);
    }

    /// How many of the pages that were given back the next `count` blocks may need, at most. Owner-only.
    pub(crate) fn may_need(&self, blocks: Blocks, page_size: usize, count: usize) -> usize {
        if count == 1 {
            let first = self.next_index() * blocks.size();
            let pages = first / page_size..(first + blocks.size()).div_ceil(page_size);
            return Pages(self.missing().0 & Pages::run(pages.start, pages.len()).0).count();
        }
        self.missing().count().min(count.saturating_mul(blocks.size().div_ceil(page_size) + 1))
    }

    /// After blocks were taken: the number of pages that had been given back and have blocks in use now, which are not
    /// among the purged ones any more. Owner-only.
    pub(crate) fn note_needed(&self, blocks: Blocks, page_size: usize) -> usize {
        let before = self.missing();
        let after = self.free_pages(blocks, page_size, before);
        self.purged.store(after.0, Ordering::Relaxed);
        before.count() - after.count()
    }

    /// Forgets which pages were given back, and says how many those were. Owner-only.
    pub(crate) fn forget_purged(&self) -> usize {
        let before = self.purged();
        self.purged.store(0, Ordering::Relaxed);
        self.purged_rest.store(0, Ordering::Relaxed);
        before.count()
    }

    /// The pages that are free and have not been given back since `before`, or before it; all that are free where that
    /// is `u64::MAX`. Takes note of those that are free at `now`, once what was noted before is old enough. In
    /// milliseconds; owner-only.
    ///
    /// Blocks are taken in the order of their addresses. So whatever the slab's other blocks do, what was free when
    /// somebody looked, and lies behind all that was taken since, has been free all the time.
    pub(crate) fn idle_pages(&self, blocks: Blocks, page_size: usize, before: u64, now: u64) -> Pages {
        let free = self.purgeable(blocks, page_size);
        if before == u64::MAX {
            return free;
        }
        // A wrap of the 32 bits, every 49 days, makes a note younger or older than it is.
        let age = (now as u32).wrapping_sub(self.watched_since.get());
        if self.watched.get() != 0 && u64::from(age) < now - before {
            return Pages(0);
        }
        let reached = (usize::from(self.reached.get()) * blocks.size()).div_ceil(page_size);
        let behind = ((u64::from(u16::MAX) << reached) & u64::from(u16::MAX)) as u16;
        let idle = Pages(self.watched.replace(free.0) & free.0 & behind);
        self.reached.set(0);
        self.watched_since.set(now as u32);
        idle
    }
}
