//! The hash by which an arena finds a word again.
//!
//! Each step multiplies two words of 64 bits and folds the upper half of the product on the lower, so every bit of the
//! input reaches every bit of the result: the step of Wang Yi's wyhash. It is not keyed: whoever chooses the words can
//! choose ones that collide.

#![forbid(unsafe_code)]

/// The first 192 bits of π's fraction. Any numbers without a pattern would do.
const PI: [u64; 3] = [0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344, 0xa409_3822_299f_31d0];

/// The hash of `bytes`; the same on every machine. Two multiplications for up to 16 bytes, and one more for each
/// further 16.
#[inline]
pub(super) fn hash(bytes: &[u8]) -> u64 {
    let mut state = bytes.len() as u64 ^ PI[0];
    let (pairs, _) = bytes.as_chunks::<16>();
    if bytes.len() > 16 {
        for pair in pairs {
            let (first, last) = halves(pair);
            state = fold(first ^ PI[1], last ^ state);
        }
    }
    let (first, last) = ends(bytes);
    fold(fold(first ^ PI[1], last ^ state), PI[2])
}

/// Two words that hold the bytes of up to 16, and the last 16 of more. They overlap where there are fewer.
#[inline]
fn ends(bytes: &[u8]) -> (u64, u64) {
    if let Some(last) = bytes.last_chunk::<16>() {
        return halves(last);
    }
    if let (Some(&first), Some(&last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        return (u64::from_le_bytes(first), u64::from_le_bytes(last));
    }
    if let (Some(&first), Some(&last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        return (u32::from_le_bytes(first).into(), u32::from_le_bytes(last).into());
    }
    match *bytes {
        [first, middle, last] => (u64::from(first) << 8 | u64::from(middle), last.into()),
        [first, last] => (first.into(), last.into()),
        [only] => (only.into(), 0),
        _ => (0, 0),
    }
}

#[inline]
fn halves(pair: &[u8; 16]) -> (u64, u64) {
    let pair = u128::from_le_bytes(*pair);
    (pair as u64, (pair >> 64) as u64)
}

#[inline]
const fn fold(a: u64, b: u64) -> u64 {
    let product = a as u128 * b as u128;
    product as u64 ^ (product >> 64) as u64
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::format;
    use std::vec;

    #[test]
    fn every_byte_counts_at_every_length() {
        for len in 0..100 {
            let mut bytes = vec![7; len];
            let mut seen = HashSet::from([hash(&bytes)]);
            for at in 0..len {
                for bit in 0..8 {
                    bytes[at] ^= 1 << bit;
                    assert!(seen.insert(hash(&bytes)), "{len} bytes, bit {bit} of byte {at}");
                    bytes[at] ^= 1 << bit;
                }
            }
        }
    }

    #[test]
    fn zeros_of_different_lengths_are_told_apart() {
        let zeros = [0; 200];
        let hashes: HashSet<u64> = (0..=200).map(|len| hash(&zeros[..len])).collect();
        assert_eq!(hashes.len(), 201);
    }

    #[test]
    fn numbered_words_spread_evenly_over_the_upper_bits() {
        let mut counts = vec![0_usize; 1 << 12];
        for nth in 0..100 << 12 {
            counts[(hash(format!("key{nth}").as_bytes()) >> 52) as usize] += 1;
        }
        // Mean 100, standard deviation 10: of 4,096 cells none lies 6 deviations away but by a bad hash.
        assert!(
            counts.iter().all(|count| (40..160).contains(count)),
            "{:?}",
            (counts.iter().min(), counts.iter().max())
        );
    }
}
