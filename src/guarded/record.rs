//! Record: what is known of a slot's block, the one in use or the one that was there last.
//!
//! Written by whoever is at the slot, and read at any time by those who tell of a fault: so all of it is atomic, and
//! what is told in the midst of a change may be of two blocks.

use crate::sampling::Trail;
use crate::sync::{AtomicU32, AtomicUsize, Ordering};

/// Return addresses that are kept of a stack, the innermost ones.
pub(super) const FRAMES: usize = 64;

/// An allocation or a free: by whom, and from where.
#[repr(C)]
pub(crate) struct Deed {
    /// The system's number of the thread; 0 where nothing was done.
    thread: AtomicU32,
    len: AtomicU32,
    frames: [AtomicUsize; FRAMES],
}

impl Deed {
    fn note(&self, thread: u32, trail: &Trail) {
        let frames = &trail.frames()[..trail.frames().len().min(FRAMES)];
        for (place, &frame) in self.frames.iter().zip(frames) {
            place.store(frame, Ordering::Relaxed);
        }
        self.len.store(frames.len() as u32, Ordering::Relaxed);
        self.thread.store(thread, Ordering::Relaxed);
    }

    fn forget(&self) {
        self.thread.store(0, Ordering::Relaxed);
        self.len.store(0, Ordering::Relaxed);
    }

    /// The thread, if anything was done.
    pub(crate) fn thread(&self) -> Option<u32> {
        Some(self.thread.load(Ordering::Relaxed)).filter(|&thread| thread != 0)
    }

    /// The return addresses, innermost first.
    pub(crate) fn frames(&self) -> impl Iterator<Item = usize> + '_ {
        let len = self.len.load(Ordering::Relaxed) as usize;
        self.frames.iter().take(len).map(|frame| frame.load(Ordering::Relaxed))
    }
}

/// The record.
#[repr(C)]
pub(super) struct Record {
    /// 0 where there was never a block.
    block: AtomicUsize,
    size: AtomicUsize,
    tag: AtomicU32,
    /// 1 while the page is resident, though no block is there.
    is_resident: AtomicU32,
    allocation: Deed,
    free: Deed,
}

impl Record {
    pub(super) fn block(&self) -> usize {
        self.block.load(Ordering::Relaxed)
    }

    pub(super) fn size(&self) -> usize {
        self.size.load(Ordering::Relaxed)
    }

    pub(super) fn tag(&self) -> u8 {
        self.tag.load(Ordering::Relaxed) as u8
    }

    pub(super) fn is_resident(&self) -> bool {
        self.is_resident.load(Ordering::Relaxed) != 0
    }

    pub(super) fn set_resident(&self, is_resident: bool) {
        self.is_resident.store(u32::from(is_resident), Ordering::Relaxed);
    }

    /// There is a new block.
    pub(super) fn allocated(&self, block: usize, size: usize, tag: u8, thread: u32, trail: &Trail) {
        self.free.forget();
        self.block.store(block, Ordering::Relaxed);
        self.size.store(size, Ordering::Relaxed);
        self.tag.store(u32::from(tag), Ordering::Relaxed);
        self.allocation.note(thread, trail);
    }

    /// The block is free.
    pub(super) fn freed(&self, thread: u32, trail: &Trail) {
        self.free.note(thread, trail);
    }

    pub(super) fn allocation(&self) -> &Deed {
        &self.allocation
    }

    pub(super) fn free(&self) -> &Deed {
        &self.free
    }
}
