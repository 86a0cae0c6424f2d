//! The Tenure allocator as `malloc`: every allocation function of C, glibc and C++, over the public interface of the
//! crate `tenure`.
//!
//! Nothing in here may call an allocation function, panic, or use the standard library: the library is there before all
//! of them.

#![cfg_attr(panic = "abort", no_std)]
#![warn(missing_docs, unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]

mod aligned;
mod basic;
mod cxx;
mod cxx_failure;
mod deep_binding;
mod errno;
mod glibc_names;
mod introspection;
mod life;
mod limits;
mod output;
mod own;
mod profile;
mod sized;
mod snapshot;
mod unnoticed;

use tenure::Tenure;

// The precompiled `core` names the standard library's part in unwinding, which is not there: nothing in here unwinds.
// Should the system unwind a thread that it cancels, it goes on to the next frame (`_URC_CONTINUE_UNWIND`). Hidden,
// since a program may have a true one; and weak, for one that is linked with the archive.
#[cfg(all(panic = "abort", target_arch = "x86_64"))]
core::arch::global_asm!(
    ".pushsection .text.rust_eh_personality, \"ax\", @progbits",
    ".weak rust_eh_personality",
    ".hidden rust_eh_personality",
    ".type rust_eh_personality, @function",
    "rust_eh_personality:",
    "mov eax, 8",
    "ret",
    ".size rust_eh_personality, . - rust_eh_personality",
    ".popsection",
);

// What the shared library needs from the system. `libc` says so itself, unless the command's dependencies switch its
// feature `std` on: then it leaves that to the standard library, which is not here. The C library alone then goes
// unnamed, and its symbols have no versions.
#[cfg(panic = "abort")]
#[link(name = "dl")]
#[link(name = "pthread")]
#[link(name = "c")]
unsafe extern "C" {}

/// The process's allocator.
const TENURE: Tenure = Tenure::new();

/// Called only where a program has overwritten what the allocator notes down: nothing in here panics otherwise. What is
/// said to be impossible ends the process.
#[cfg(panic = "abort")]
#[panic_handler]
fn panicked(info: &core::panic::PanicInfo<'_>) -> ! {
    let (file, line) = info.location().map_or(("", 0), |at| (at.file(), at.line()));
    output::complain(format_args!(
        "corrupted metadata, noticed at {file}:{line}: find who writes beyond the end of a block"
    ));
    // SAFETY: no preconditions.
    unsafe { libc::abort() }
}
