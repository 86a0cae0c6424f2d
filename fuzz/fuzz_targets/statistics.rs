//! The statistics after each operation: every byte is accounted for, and what is live is what the model has.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tenure::{Limit, Stats, Tenure};
use tenure_fuzz::held::Held;
use tenure_fuzz::intervals::Intervals;
use tenure_fuzz::operations;
use tenure_fuzz::player::Player;
use tenure_fuzz::sampled;

fn check(player: &Player<'_>) {
    let mut stats = Stats::new();
    Tenure::new().stats_into(&mut stats);
    assert!(stats.is_balanced(), "{} committed, {} accounted for\n{stats}", stats.committed, stats.balance.total());
    let dynamic = || player.blocks.iter().filter(|block| !block.is_static);
    assert_eq!(stats.live_blocks(), dynamic().count(), "{stats}");
    assert_eq!(stats.live_bytes(), dynamic().map(Held::usable).sum(), "{stats}");
    assert_eq!(stats.scopes.blocks, player.blocks.len() - dynamic().count(), "{stats}");
    assert!(stats.committed <= stats.peak_committed, "{stats}");
}

fuzz_target!(|input: &[u8]| {
    let intervals = Intervals::new();
    let mut player = Player::new(&intervals, &[], check);
    // A guarded block takes a page, and none of its functions says so.
    player.may_guard = false;
    player.play(&mut operations::of(input));
    player.finish();
    check(&player);
    Tenure::new().set_limit(Limit::NONE);
    sampled::finish();
});
