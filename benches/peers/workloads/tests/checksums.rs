//! Every workload has the checksum that was recorded, on one thread and on two, each time.

use tenure_workloads::{Scale, Threads, all};

/// A share at which each takes milliseconds.
const SHARE: f64 = 0.01;

const RECORDED: &[(&str, u64)] = &[
    ("arrow-columns", 0xf6e9228b705631de),
    ("ast-fold", 0x566737e55a2cba6b),
    ("btree-map", 0xcb2bddad722ee6a2),
    ("channel-ring", 0xbd6f177f98bedd33),
    ("compress-files", 0xed3a45392635c0c8),
    ("csv-report", 0xf75e4f452f40a627),
    ("graph-paths", 0x542e68fb83687a2c),
    ("hand-over", 0x750c0960947c7cf6),
    ("hash-map", 0x475601d638bd4560),
    ("http-loopback", 0xe3f35ea94034ee79),
    ("image-thumbnails", 0x97b092ceeb568c21),
    ("json-typed", 0xd342759f513fcc5f),
    ("json-value", 0x3136b0c4f312002d),
    ("lru-cache", 0x7e46539d4f6db928),
    ("markdown-html", 0x99c2ac0a764b7a86),
    ("persistent-map", 0x78b7da87b911539c),
    ("rayon-group", 0x7f025990c6e34ed9),
    ("rayon-sort", 0x6f449d1e68969ec9),
    ("regex-logs", 0x830f384c8b129de1),
    ("request-cache", 0xf27f57cbf9575829),
    ("rhai-script", 0xe877ffd5ebb2ddc7),
    ("rope-edit", 0xa564479c95ff8b1f),
    ("search-index", 0xf79706b903db2bf1),
    ("shared-cache", 0xc058a0cda892fe98),
    ("syn-rust", 0xbb2dd4099bb2085d),
    ("template-pages", 0xbe7c6e2d283e0d57),
    ("text-diff", 0xf8cc3f30dcf78a9c),
    ("thread-per-request", 0x589fc1f10cb64b2b),
    ("tokio-actors", 0x4f0444dadba7f17c),
    ("toml-config", 0x84fc7ede9deb8ded),
    ("vec-growth", 0x2661d648042fa9fd),
    ("xml-tree", 0x8c56de68e4b491b5),
];

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
