//! What the environment's `TENURE_PROFILE` says, understood in the same way by all who read it.

use super::{DEFAULT_RATE, MAX_RATE};

/// Splits `FILE[:RATE]` into the file's name and the rate, [`DEFAULT_RATE`] where none is given. What follows the last colon is the rate where it consists of digits alone;
/// `None` where that is no rate.
///
/// ```
/// use tenure::profile::split_setting;
///
/// assert_eq!(split_setting(b"heap.svg:4096"), Some((&b"heap.svg"[..], 4096)));
/// assert_eq!(split_setting(b"a:b.svg"), Some((&b"a:b.svg"[..], 524_288)));
/// assert_eq!(split_setting(b"heap.svg:0"), None);
/// ```
pub fn split_setting(text: &[u8]) -> Option<(&[u8], usize)> {
    let colon = text.iter().rposition(|&byte| byte == b':');
    let Some((file, digits)) = colon.map(|at| (&text[..at], &text[at + 1..])) else {
        return Some((text, DEFAULT_RATE));
    };
    if !digits.iter().all(u8::is_ascii_digit) {
        return Some((text, DEFAULT_RATE));
    }
    let rate = core::str::from_utf8(digits).ok()?.parse().ok()?;
    (1..=MAX_RATE).contains(&rate).then_some((file, rate))
}
