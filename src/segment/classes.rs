//! Classes: which class each slot of a segment is of, for a free that is told no layout.

use super::{SEGMENT_SIZE, SLOTS, Segment};
use crate::size_class::SizeClass;
use crate::slab::Blocks;
use crate::sync::{AtomicU16, Ordering};
use core::ptr;

/// The code of each slot's class, where the slot is a slab or the first of a span; 0 elsewhere. On a line of its own,
/// which changes only with the use of a slot: what a free reads that is told no layout.
#[repr(C, align(64))]
pub(super) struct Classes([AtomicU16; SLOTS]);

impl Classes {
    /// Slot `slot` is of `class`, or of none.
    pub(super) fn set(&self, slot: usize, class: Option<SizeClass>) {
        self.0[slot].store(class.map_or(0, SizeClass::code) as u16, Ordering::Relaxed);
    }
}

/// The code of the class whose slab, or whose span's first slot, holds `address`; 0 where neither does.
///
/// # Safety
/// - A segment lies in granule `granule`, which is that of `address` but for address bits that no program can have.
#[inline(always)]
pub(crate) unsafe fn class_code_at(granule: usize, address: usize) -> usize {
    let segment: *const Segment = ptr::with_exposed_provenance(granule * SEGMENT_SIZE);
    // SAFETY: the caller says so; a segment's first slot is never unmapped, and a slot's index is below `SLOTS`.
    unsafe { load_code(segment, slot_of(address)) }
}

/// The class whose slab, or whose span's first slot, holds `address`, if either does.
///
/// # Safety
/// - A segment lies in the granule of `address`.
#[inline(always)]
pub(crate) unsafe fn class_at(address: usize) -> Option<SizeClass> {
    // SAFETY: passed on.
    SizeClass::from_code(unsafe { class_code_at(address / SEGMENT_SIZE, address) })
}

/// The arithmetic of the slab in which a block starts at `block`; `None` where none does, or a span.
///
/// # Safety
/// - As for [`class_at`].
#[inline(always)]
pub(crate) unsafe fn blocks_at(block: *const u8) -> Option<&'static Blocks> {
    // SAFETY: passed on.
    let blocks = Blocks::of_code(unsafe { class_code_at(block.addr() / SEGMENT_SIZE, block.addr()) })?;
    blocks.locate(block).map(|_| blocks)
}

/// The address that lies so many bytes behind `base` as [`class_code_at`] gives.
///
/// The code takes the place of the address's low bits, which are zero: one instruction, where a load and a sum would be
/// two.
///
/// # Safety
/// - As for `class_code_at`.
/// - `base` is a multiple of [`BASE_ALIGN`], and there is something up to the highest code behind it.
#[cfg(not(feature = "std"))]
#[inline(always)]
pub(crate) unsafe fn at_class_code<T>(granule: usize, address: usize, base: *const T) -> *const T {
    debug_assert!(base.addr().is_multiple_of(BASE_ALIGN));
    let segment: *const Segment = ptr::with_exposed_provenance(granule * SEGMENT_SIZE);
    // SAFETY: passed on.
    unsafe { put_code(segment, slot_of(address), base) }
}

/// What a base of [`at_class_code`] is a multiple of: the number of codes that could be.
pub(crate) const BASE_ALIGN: usize = 1 << u16::BITS;

#[cfg(all(not(feature = "std"), target_arch = "x86_64", target_pointer_width = "64", not(any(miri, loom))))]
#[inline(always)]
unsafe fn put_code<T>(segment: *const Segment, slot: usize, mut base: *const T) -> *const T {
    // SAFETY: reads two aligned bytes of the segment's table, as an atomic load does that is relaxed. The rest of a
    // register stays as it was when the lowest 16 bits are written.
    unsafe {
        core::arch::asm!(
            "mov {base:x}, word ptr [{segment} + {size}*{slot} + {table}]",
            segment = in(reg) segment,
            slot = in(reg) slot,
            size = const size_of::<AtomicU16>(),
            table = const core::mem::offset_of!(Segment, classes),
            base = inout(reg) base,
            options(readonly, nostack, preserves_flags),
        );
    }
    base
}

#[cfg(all(not(feature = "std"), not(all(target_arch = "x86_64", target_pointer_width = "64", not(any(miri, loom))))))]
#[inline(always)]
unsafe fn put_code<T>(segment: *const Segment, slot: usize, base: *const T) -> *const T {
    // SAFETY: passed on.
    unsafe { base.byte_add(load_code(segment, slot)) }
}

/// The code in the segment's table for `slot`.
///
/// In assembly because a compiler takes an atomic load and the widening of what it has loaded for two instructions.
///
/// # Safety
/// - A segment is at `segment`, and `slot` is below [`SLOTS`].
#[cfg(all(target_arch = "x86_64", target_pointer_width = "64", not(any(miri, loom))))]
#[inline(always)]
unsafe fn load_code(segment: *const Segment, slot: usize) -> usize {
    let code: usize;
    // SAFETY: reads two aligned bytes of the segment's table, which on this architecture is what an atomic load,
    // relaxed, does. The upper half of a register is cleared when the lower is written.
    unsafe {
        core::arch::asm!(
            "movzx {code:e}, word ptr [{segment} + {size}*{slot} + {table}]",
            segment = in(reg) segment,
            slot = in(reg) slot,
            size = const size_of::<AtomicU16>(),
            table = const core::mem::offset_of!(Segment, classes),
            code = lateout(reg) code,
            options(readonly, nostack, preserves_flags),
        );
    }
    code
}

#[cfg(not(all(target_arch = "x86_64", target_pointer_width = "64", not(any(miri, loom)))))]
#[inline(always)]
unsafe fn load_code(segment: *const Segment, slot: usize) -> usize {
    // SAFETY: passed on.
    unsafe { (*segment).classes.0.get_unchecked(slot) }.load(Ordering::Relaxed).into()
}

/// The index of the slot that holds `address` in its segment.
///
/// In assembly because a multiplication shifts left and moves in one instruction, which the compiler takes apart again.
#[cfg(all(target_arch = "x86_64", not(miri)))]
#[inline(always)]
fn slot_of(address: usize) -> usize {
    let slot: usize;
    // SAFETY: arithmetic on registers. The upper half of a register is cleared when the lower is written.
    unsafe {
        core::arch::asm!(
            "imul {slot:e}, {address:e}, {left}",
            "shr {slot:e}, {right}",
            address = in(reg) address,
            slot = out(reg) slot,
            left = const 1 << (u32::BITS - SEGMENT_SIZE.ilog2()),
            right = const u32::BITS - SLOTS.ilog2(),
            options(pure, nomem, nostack),
        );
    }
    slot
}

#[cfg(not(all(target_arch = "x86_64", not(miri))))]
#[inline(always)]
fn slot_of(address: usize) -> usize {
    address % SEGMENT_SIZE / (SEGMENT_SIZE / SLOTS)
}
