//! How workloads are named and described.

use std::collections::HashSet;
use tenure_workloads::all;

#[test]
fn names_are_unique_and_in_order() {
    let names: Vec<&str> = all().iter().map(|workload| workload.name).collect();
    assert_eq!(names.len(), names.iter().collect::<HashSet<_>>().len());
    assert!(names.is_sorted(), "{names:?}");
}

#[test]
fn names_are_lower_case_words_with_dashes() {
    for workload in all() {
        let is_word =
            |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        assert!(workload.name.split('-').all(is_word), "{}", workload.name);
    }
}

#[test]
fn each_is_described_in_one_line() {
    for workload in all() {
        assert!(!workload.about.is_empty() && !workload.about.contains('\n'), "{}", workload.name);
    }
}
