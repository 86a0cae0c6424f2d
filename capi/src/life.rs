//! The library's life in a process: what it does when it is loaded, and when the process ends. What that is, the
//! environment says.
//!
//! Neither is needed for memory to be had: allocations come before the one and after the other.

use crate::profile;
use tenure::preloaded;

#[used]
#[unsafe(link_section = ".init_array")]
static AT_START: extern "C" fn() = start;

#[used]
#[unsafe(link_section = ".fini_array")]
static AT_END: extern "C" fn() = end;

/// The library is loaded.
extern "C" fn start() {
    preloaded::start();
    profile::start();
}

/// The process ends in an orderly way.
extern "C" fn end() {
    profile::finish();
    preloaded::end();
}
