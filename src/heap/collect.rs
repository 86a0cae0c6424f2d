//! Collecting: blocks and spans that other threads have returned to a heap become free ones.

use super::core::{Core, Host};
use super::counts::{Counts, SPANS};
use super::list::Ring;
use crate::os::report::fatal;
use crate::segment::Segment;
use crate::size_class::SizeClass;
use crate::slab::{Pending, Slab, SlotKind};
use ::core::ptr;

/// Refills between collections. The longer blocks wait, the more of them share an atomic operation, at both ends.
const PATIENCE: u8 = 32;

impl Core {
    /// Takes in what other threads have returned, every now and then.
    pub(super) fn collect_in_time(&mut self, host: Host<'_>) {
        match self.patience.checked_sub(1) {
            Some(patience) => self.patience = patience,
            None => {
                self.patience = PATIENCE;
                self.collect(host);
            }
        }
    }

    /// Takes in what other threads have returned.
    pub(super) fn collect(&mut self, host: Host<'_>) {
        if host.pending.is_empty() {
            return;
        }
        let mut next = host.pending.take();
        while !next.is_null() {
            // SAFETY: what is pushed on the stack are slabs' heads, which are never unmapped.
            let slab = unsafe { &*next };
            next = Pending::below(&slab.remote);
            let segment = Segment::of(slab);
            match slab.kind() {
                SlotKind::Slab(class) => self.collect_slab(host, class, segment, slab),
                SlotKind::Span => {
                    segment.collect_remote(slab, |_, _| {});
                    host.counts[SPANS].collect(1);
                    self.retire(host.backend, slab);
                }
                SlotKind::Free => fatal(format_args!(
                    "corrupted metadata: blocks were returned to a slab at {:p} that is not in use",
                    ptr::from_ref(slab)
                )),
            }
        }
    }

    /// Takes in all that is in no slab though nobody uses it: what was returned, is held back, or waits in the depot.
    pub(super) fn take_in_all(&mut self, host: Host<'_>) {
        self.collect(host);
        self.let_go(host);
        self.empty_depot(host);
    }

    fn collect_slab(&mut self, host: Host<'_>, class: SizeClass, segment: &Segment, slab: &Slab) {
        self.check_held_back(class, slab);
        let before = slab.free();
        segment.collect_remote(slab, |word, bits| match slab.put_back_word(word, bits) {
            Ok(_) => {}
            Err(_) => fatal(format_args!(
                "double free: a {}-byte block of the slab at {:p} was freed here and on another thread",
                class.size(),
                slab.start()
            )),
        });
        Counts::of(host.counts, class).collect(slab.free() - before);
        self.unclaimed += (slab.free() - before) * class.size();
        if slab.free() == slab.extent() {
            self.emptied(host.backend, class, slab);
        } else if slab.free() > 0 && (!Ring::is_linked(slab) || slab.is_to_be_sparse() != slab.is_sparse()) {
            self.usable[class.index()].file(slab);
        }
    }
}
