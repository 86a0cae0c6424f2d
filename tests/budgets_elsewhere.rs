//! Budgets in a program whose allocator is not Tenure: an assertion that could not fail says so.
#![cfg(all(not(loom), feature = "std"))]

use std::panic::catch_unwind;
use tenure::{Region, Tenure, assert_allocs, assert_no_alloc};

#[test]
fn a_budget_fails_clearly_where_nothing_would_be_seen() {
    for panicked in [catch_unwind(|| assert_no_alloc(|| ())), catch_unwind(|| assert_allocs(.., .., || ()))] {
        let panic = panicked.expect_err("an assertion that sees nothing may not hold");
        let message = panic.downcast_ref::<&str>().expect("a text");
        assert!(message.contains("allocator is not `tenure::Tenure`"), "{message}");
    }
}

#[test]
fn a_region_counts_what_is_asked_of_tenure_by_name() {
    let region = Region::thread();
    drop(vec![1_u8; 100]);
    assert_eq!(region.delta().allocations, 0);
    let block = Tenure::new().alloc_untyped(100);
    assert_eq!(region.delta().allocations, 1);
    // SAFETY: allocated just now.
    unsafe { Tenure::new().free_untyped(block) };
    assert_eq!(region.delta().blocks, 0);
}
