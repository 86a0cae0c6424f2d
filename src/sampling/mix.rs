//! Mixing: a word whose every bit depends on every bit of another.

#![forbid(unsafe_code)]

/// What the state of [`next`] grows by: 2^64 over the golden ratio, made odd.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// The finaliser of Vigna's SplitMix64: a permutation of all words.
pub(crate) const fn mix(word: u64) -> u64 {
    let word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ word >> 31
}

/// The next word of the generator SplitMix64, and its next state.
pub(super) const fn next(state: u64) -> (u64, u64) {
    let state = state.wrapping_add(STEP);
    (mix(state), state)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_generator_gives_the_published_numbers() {
        // The first outputs of the reference implementation for the seed 1234567.
        let expected = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431];
        let mut state = 1234567;
        for number in expected {
            let (word, next) = next(state);
            assert_eq!(word, number);
            state = next;
        }
    }
}
