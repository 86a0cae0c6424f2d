//! Walks by the system's unwinder, which reads the tables that serve exceptions.

use super::profile::Trail;
use crate::os;

/// The calling functions.
pub(super) fn walk_whole(trail: &mut Trail) {
    let mut last = (0, 0);
    os::unwind(&mut |address, stack| {
        // The outermost function of some stacks is its own caller.
        let is_end = address == 0 || last == (address, stack);
        last = (address, stack);
        !is_end && trail.push(address)
    });
}
