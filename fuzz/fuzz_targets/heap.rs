//! Dynamic memory on one thread, against a model: every interface, scopes, limits and purges.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tenure::{Limit, Tenure};
use tenure_fuzz::intervals::Intervals;
use tenure_fuzz::operations;
use tenure_fuzz::player::Player;
use tenure_fuzz::sampled;

fuzz_target!(|input: &[u8]| {
    let intervals = Intervals::new();
    let mut player = Player::new(&intervals, &[], |_| ());
    player.play(&mut operations::of(input));
    player.finish();
    assert!(intervals.is_empty());
    Tenure::new().set_limit(Limit::NONE);
    sampled::finish();
});
