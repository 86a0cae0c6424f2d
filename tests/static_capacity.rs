//! Static memory of a fixed capacity that is not to fall back on the heap.

mod support;

use std::alloc::GlobalAlloc;
use support::block::layout;
use support::process::alone;
use tenure::{Tenure, WhenFull, dynamic_scope, static_scope};

#[global_allocator]
static GLOBAL: Tenure = Tenure::with_static_capacity(100_000).when_static_full(WhenFull::Fail);

#[test]
fn a_scope_that_finds_static_memory_full_gets_null_and_others_are_served() {
    alone(60, || {
        // SAFETY: sizes that are not zero.
        let alloc = |size| static_scope(|| unsafe { GLOBAL.alloc(layout(size, 1)) });
        let first = alloc(99_000);
        assert!(!first.is_null());
        assert!(alloc(1001).is_null());
        assert!(!alloc(1000).is_null());
        // SAFETY: a size that is not zero.
        assert!(static_scope(|| unsafe { GLOBAL.alloc_zeroed(layout(1, 1)) }).is_null());
        assert!(alloc(1 << 40).is_null());
        let meter = GLOBAL.stats().scopes;
        assert_eq!((meter.capacity, meter.used, meter.fallbacks, meter.remaining()), (100_000, 100_000, 3, 0));
        assert_eq!(static_scope(|| dynamic_scope(|| vec![1_u8; 200_000])).len(), 200_000);
        // SAFETY: the test's own block, which is too large to grow and does not move to the heap inside a scope.
        let grown = static_scope(|| unsafe { GLOBAL.realloc(first, layout(99_000, 1), 99_001) });
        assert!(grown.is_null());
        // SAFETY: as above; outside of a scope it moves.
        let grown = unsafe { GLOBAL.realloc(first, layout(99_000, 1), 99_001) };
        assert!(!grown.is_null());
        // SAFETY: the test's own block.
        unsafe { GLOBAL.dealloc(grown, layout(99_001, 1)) };
        assert_eq!(GLOBAL.stats().scopes.dead, 99_000);
    });
}
