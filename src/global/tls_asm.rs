//! The thread's slot without the standard library: a few words of thread-local storage, which stable Rust can only name in assembly.
//!
//! The slot itself lies in the borrowed heap. A thread without one points at one of two statics, which say so and are never written.
//! The access is of the initial-exec form: two instructions and no call, in a program as in a shared library.

use super::routing::Routing;
use crate::heap::{Borrower, Hand, Heap};
use core::arch::{asm, global_asm};
#[cfg(feature = "profile")]
use core::mem;
use core::ptr;

#[cfg(not(target_arch = "x86_64"))]
compile_error!("without the feature `std`, only x86-64 has a thread slot yet: docs/porting.md says what is needed");

/// A slot that stands for many threads.
struct Nobodys(Borrower);

// SAFETY: never written: the id matches no entry of the owner map, so no block is ever pushed, and the tops
// stand nowhere, so none is popped; `take` and `leave` leave the statics alone.
unsafe impl Sync for Nobodys {}

static FRESH: Nobodys = Nobodys(Borrower::fresh());
static HEAPLESS: Nobodys = Nobodys(Borrower::heapless());

global_asm!(
    ".pushsection .tdata, \"awT\", @progbits",
    ".balign 8",
    ".globl tenure_thread_slot",
    ".hidden tenure_thread_slot",
    ".type tenure_thread_slot, @object",
    ".size tenure_thread_slot, 8",
    "tenure_thread_slot:",
    ".quad {fresh}",
    ".popsection",
    fresh = sym FRESH,
);

// A word beside it says where frees go: to the hand of the slot, or, while the thread's allocations are sampled, to that of the returns.
#[cfg(feature = "profile")]
global_asm!(
    ".pushsection .tdata, \"awT\", @progbits",
    ".balign 8",
    ".globl tenure_thread_hand",
    ".hidden tenure_thread_hand",
    ".type tenure_thread_hand, @object",
    ".size tenure_thread_hand, 8",
    "tenure_thread_hand:",
    ".quad {fresh} + {hand}",
    ".popsection",
    fresh = sym FRESH,
    hand = const mem::offset_of!(Nobodys, 0.hand),
);

// Another says how the thread is routed, which a thread without a heap has to know as well.
global_asm!(
    ".pushsection .tbss, \"awT\", @nobits",
    ".balign 8",
    ".globl tenure_thread_routing",
    ".hidden tenure_thread_routing",
    ".type tenure_thread_routing, @object",
    ".size tenure_thread_routing, 8",
    "tenure_thread_routing:",
    ".zero 8",
    ".popsection",
);

/// The calling thread's slot. Not to be kept, nor passed to another thread.
#[inline(always)]
pub(super) fn current() -> &'static Borrower {
    let slot: *const Borrower;
    // SAFETY: reads the thread's own copy of the variable defined above.
    unsafe {
        asm!(
            "mov {slot}, qword ptr [rip + tenure_thread_slot@GOTTPOFF]",
            "mov {slot}, qword ptr fs:[{slot}]",
            slot = out(reg) slot,
            options(pure, readonly, nostack, preserves_flags),
        );
    }
    // SAFETY: always a static or the slot in a heap, and neither is ever given back.
    unsafe { &*slot }
}

/// What the calling thread's frees go to. Not to be kept, nor passed to another thread.
#[cfg(feature = "profile")]
#[inline(always)]
pub(super) fn freeing() -> &'static Hand {
    let hand: *const Hand;
    // SAFETY: reads the thread's own copy of the variable defined above.
    unsafe {
        asm!(
            "mov {hand}, qword ptr [rip + tenure_thread_hand@GOTTPOFF]",
            "mov {hand}, qword ptr fs:[{hand}]",
            hand = out(reg) hand,
            options(pure, readonly, nostack, preserves_flags),
        );
    }
    // SAFETY: always part of a slot, or of what a heap has for a profile, and neither is ever given back.
    unsafe { &*hand }
}

/// What the calling thread's frees go to.
#[cfg(not(feature = "profile"))]
#[inline(always)]
pub(super) fn freeing() -> &'static Hand {
    &current().hand
}

/// The calling thread's frees go to `hand` from now on.
#[cfg(feature = "profile")]
pub(super) fn free_to(hand: &'static Hand) {
    // SAFETY: writes the thread's own copy of the variable defined above.
    unsafe {
        asm!(
            "mov {offset}, qword ptr [rip + tenure_thread_hand@GOTTPOFF]",
            "mov qword ptr fs:[{offset}], {hand}",
            offset = out(reg) _,
            hand = in(reg) ptr::from_ref(hand),
            options(nostack, preserves_flags),
        );
    }
}

/// Sets the slot, to whose hand the thread's frees go from now on.
fn set(slot: &'static Borrower) {
    // SAFETY: writes the thread's own copy of the variable defined above.
    unsafe {
        asm!(
            "mov {offset}, qword ptr [rip + tenure_thread_slot@GOTTPOFF]",
            "mov qword ptr fs:[{offset}], {slot}",
            offset = out(reg) _,
            slot = in(reg) ptr::from_ref(slot),
            options(nostack, preserves_flags),
        );
    }
    #[cfg(feature = "profile")]
    free_to(&slot.hand);
}

/// The calling thread borrows `heap`.
pub(super) fn take(heap: &'static Heap) {
    heap.borrower().take(heap);
    set(heap.borrower());
}

/// The calling thread, whose own heap is `home`, allocates from `heap` from now on. It is inside a slow path, and its magazines are set aside.
pub(super) fn switch(heap: &'static Heap, home: &'static Heap) {
    let before = current();
    heap.borrower().switch(heap, home);
    set(heap.borrower());
    if !core::ptr::eq(before, home.borrower()) {
        before.leave();
    }
}

/// The calling thread has no heap any more.
pub(super) fn leave() {
    let slot = current();
    set(&HEAPLESS.0);
    if slot.heap.get().is_some() {
        slot.leave();
    }
}

/// The calling thread may ask for a heap again.
pub(super) fn refresh() {
    leave();
    set(&FRESH.0);
}

/// To which kind of memory the calling thread's allocations go.
#[inline]
pub(super) fn routing() -> Routing {
    let word: u64;
    // SAFETY: reads the thread's own copy of the variable defined above.
    unsafe {
        asm!(
            "mov {word}, qword ptr [rip + tenure_thread_routing@GOTTPOFF]",
            "mov {word}, qword ptr fs:[{word}]",
            word = out(reg) word,
            options(pure, readonly, nostack, preserves_flags),
        );
    }
    Routing::unpack(word)
}

pub(super) fn set_routing(routing: Routing) {
    // SAFETY: writes the thread's own copy of the variable defined above.
    unsafe {
        asm!(
            "mov {offset}, qword ptr [rip + tenure_thread_routing@GOTTPOFF]",
            "mov qword ptr fs:[{offset}], {word}",
            offset = out(reg) _,
            word = in(reg) routing.pack(),
            options(nostack, preserves_flags),
        );
    }
}
