//! The thread's slot without the standard library: a few words of thread-local storage, which stable Rust can only name
//! in assembly.
//!
//! The slot itself lies in the borrowed heap. A thread without one points at one of two statics, which say so and are
//! never written. The access is of the initial-exec form: two instructions and no call, in a program as in a shared
//! library.

use super::routing::Routing;
use crate::heap::{Borrower, Heap};
use core::arch::{asm, global_asm};
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

// A word beside it says how the thread is routed, which a thread without a heap has to know as well.
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

/// Reads the calling thread's own copy of a variable defined above, a word.
macro_rules! read {
    ($variable:literal as $type:ty) => {{
        let word: $type;
        // SAFETY: the thread's own, as long as the thread runs.
        unsafe {
            asm!(
                concat!("mov {word}, qword ptr [rip + ", $variable, "@GOTTPOFF]"),
                "mov {word}, qword ptr fs:[{word}]",
                word = out(reg) word,
                options(pure, readonly, nostack, preserves_flags),
            );
        }
        word
    }};
}

/// Writes it.
macro_rules! write {
    ($variable:literal, $word:expr) => {{
        let word = $word;
        // SAFETY: as above.
        unsafe {
            asm!(
                concat!("mov {offset}, qword ptr [rip + ", $variable, "@GOTTPOFF]"),
                "mov qword ptr fs:[{offset}], {word}",
                offset = out(reg) _,
                word = in(reg) word,
                options(nostack, preserves_flags),
            );
        }
    }};
}

/// The calling thread's slot. Not to be kept, nor passed to another thread.
#[inline(always)]
pub(super) fn current() -> &'static Borrower {
    let slot = read!("tenure_thread_slot" as *const Borrower);
    // SAFETY: always a static or the slot in a heap, and neither is ever given back.
    unsafe { &*slot }
}

fn set(slot: &'static Borrower) {
    write!("tenure_thread_slot", ptr::from_ref(slot));
}

/// The calling thread borrows `heap`.
pub(super) fn take(heap: &'static Heap) {
    heap.borrower().take(heap);
    set(heap.borrower());
}

/// The calling thread, whose own heap is `home`, allocates from `heap` from now on. It is inside a slow path, and its
/// magazines are set aside.
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
    Routing::unpack(read!("tenure_thread_routing" as u64))
}

pub(super) fn set_routing(routing: Routing) {
    write!("tenure_thread_routing", routing.pack());
}
