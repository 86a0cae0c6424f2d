//! Every workload has the checksum that was recorded, on one thread and on two, each time.

use tenure_workloads::{Scale, Threads, all};

/// A share at which each takes milliseconds.
const SHARE: f64 = 0.01;

const RECORDED: &[(&str, u64)] =
    &[("ast-fold", 0x566737e55a2cba6b), ("json-value", 0xaaf720c5639b8a6c), ("hash-map", 0x475601d638bd4560)];

#[test]
fn every_checksum_is_the_recorded_one_however_many_threads_there_are() {
    let mut found = Vec::new();
    for workload in all() {
        let checksum = |threads| (workload.run)(&Scale { threads, share: SHARE });
        let first = checksum(1);
        assert_eq!(first, checksum(1), "{} a second time", workload.name);
        if workload.threads == Threads::Many {
            assert_eq!(first, checksum(2), "{} on two threads", workload.name);
        }
        found.push((workload.name, first));
    }
    let expected: Vec<(&str, u64)> = RECORDED.to_vec();
    let lines: Vec<String> = found.iter().map(|(name, value)| format!("    (\"{name}\", {value:#018x}),")).collect();
    assert!(found == expected, "the checksums are now\n{}", lines.join("\n"));
}
