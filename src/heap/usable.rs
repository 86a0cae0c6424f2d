//! The slabs of one class that have free blocks.
//!
//! Sparse ones, in which most blocks are free, are used when there are no others: what comes and goes gathers in few
//! slabs, and the sparse ones get a chance to become empty. The same for those of which pages were given back.

use super::list::Ring;
use crate::slab::Slab;

/// Sparse slabs that are looked at to tell whether a class is scattered.
const FEW: usize = 16;

/// Slabs with free blocks. [`Slab::is_sparse`] says in which ring a slab is.
pub(super) struct Usable {
    dense: Ring<Slab>,
    sparse: Ring<Slab>,
}

impl Usable {
    pub(super) const fn new() -> Self {
        Self { dense: Ring::new(), sparse: Ring::new() }
    }

    /// The slab that is to be used next, if there is one.
    #[inline(always)]
    pub(super) fn first<'a>(&self) -> Option<&'a Slab> {
        self.dense.first().or_else(|| self.sparse.first())
    }

    /// The first of the sparse slabs. If a slab stayed when it was empty, because it was alone, it is this one: others
    /// have come behind it.
    pub(super) fn first_sparse<'a>(&self) -> Option<&'a Slab> {
        self.sparse.first()
    }

    /// True where what is in use in the first few of the sparse slabs would fit into half of them.
    pub(super) fn is_scattered(&self) -> bool {
        let (mut slabs, mut used, mut all) = (0, 0, 0);
        for slab in self.sparse.iter().take(FEW) {
            slabs += 1;
            used += slab.extent() - slab.free();
            all += slab.extent();
        }
        slabs > 1 && 2 * used <= all
    }

    /// True where there is no slab but this one.
    pub(super) fn has_none_but(&self, slab: &Slab) -> bool {
        self.dense.iter().chain(self.sparse.iter()).all(|other| other.is(slab))
    }

    /// Adds a new slab, which is about to be used.
    pub(super) fn add(&mut self, slab: &Slab) {
        slab.set_sparse(false);
        self.dense.push_back(slab);
    }

    /// Puts a slab where it belongs, after blocks of it were freed or pages of it given back.
    pub(super) fn file(&mut self, slab: &Slab) {
        if Ring::is_linked(slab) {
            self.remove(slab);
        }
        slab.set_sparse(slab.is_to_be_sparse() || slab.has_purged());
        self.ring(slab.is_sparse()).push_back(slab);
    }

    /// Puts a slab where it belongs, after blocks of it were taken.
    #[inline(always)]
    pub(super) fn used(&mut self, slab: &Slab) {
        if slab.free() == 0 {
            self.remove(slab);
        } else if slab.is_sparse() && !slab.is_to_be_sparse() && !slab.has_purged() {
            self.remove(slab);
            self.dense.push_front(slab);
        }
    }

    /// Takes a slab out.
    pub(super) fn remove(&mut self, slab: &Slab) {
        self.ring(slab.is_sparse()).remove(slab);
        slab.set_sparse(false);
    }

    /// The sparse ones, or the others.
    pub(super) fn ring(&mut self, is_sparse: bool) -> &mut Ring<Slab> {
        if is_sparse { &mut self.sparse } else { &mut self.dense }
    }
}
