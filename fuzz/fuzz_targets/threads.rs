//! Dynamic memory on two to four threads that hand blocks to each other and free them wherever they are, against a
//! model.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::Mutex;
use std::thread;
use tenure::{Limit, Tenure};
use tenure_fuzz::held::Held;
use tenure_fuzz::intervals::Intervals;
use tenure_fuzz::operations;
use tenure_fuzz::player::Player;
use tenure_fuzz::sampled;

fuzz_target!(|input: &[u8]| {
    let Some((&first, input)) = input.split_first() else { return };
    let count = 2 + usize::from(first) % 3;
    let intervals = Intervals::new();
    let places = [const { Mutex::new(None) }; 8];
    let play = |nth| {
        let mut player = Player::new(&intervals, &places, |_| ());
        // Thread by thread, so that each has what is behind the other's part of the input, too.
        player.play(&mut operations::of(input).skip(nth).step_by(count));
        player
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..count).map(|nth| scope.spawn(move || play(nth).finish())).collect();
        threads.into_iter().for_each(|thread| thread.join().expect("a thread has found a fault"));
    });
    places.into_iter().filter_map(|place| place.into_inner().unwrap()).for_each(|block| {
        intervals.release(block.range());
        Held::free(block);
    });
    assert!(intervals.is_empty());
    let tenure = Tenure::new();
    tenure.set_limit(Limit::NONE);
    sampled::finish();
    let stats = tenure.stats();
    assert!(stats.is_balanced() && stats.live_blocks() == 0, "{stats}");
});
