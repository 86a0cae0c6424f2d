//! A hint to the compiler: which way a branch usually goes, and so which code is laid out in one line.

#![forbid(unsafe_code)]

/// `claim`, which is usually true.
#[inline(always)]
pub(crate) const fn likely(claim: bool) -> bool {
    if !claim {
        unusual();
    }
    claim
}

/// A branch that comes here is laid out of the way.
#[cold]
const fn unusual() {}
