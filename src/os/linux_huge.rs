//! Linux: whether huge pages are allowed by whoever administers the machine.

use super::text;
use crate::sync::plain::{AtomicU32, Ordering};

const UNKNOWN: u32 = 0;
const ALLOWED: u32 = 1;
const FORBIDDEN: u32 = 2;

static ANSWER: AtomicU32 = AtomicU32::new(UNKNOWN);

/// True where huge pages may be had by those who ask. Looks once: the system's own word for joining pages does not.
pub(super) fn are_allowed() -> bool {
    if ANSWER.load(Ordering::Relaxed) == UNKNOWN {
        let mut text = [0; 64];
        let choice = text::read(c"/sys/kernel/mm/transparent_hugepage/enabled", &mut text).unwrap_or_default();
        // Threads that look at once see the same.
        ANSWER.store(if are_offered(choice) { ALLOWED } else { FORBIDDEN }, Ordering::Relaxed);
    }
    ANSWER.load(Ordering::Relaxed) == ALLOWED
}

/// The choice in force stands in brackets.
fn are_offered(text: &[u8]) -> bool {
    [&b"[always]"[..], b"[madvise]"].iter().any(|choice| text.windows(choice.len()).any(|part| part == *choice))
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::Native;
    use super::*;
    use crate::os::Platform;
    use core::ptr::NonNull;

    #[test]
    fn the_choice_in_brackets_counts() {
        assert!(are_offered(b"always [madvise] never\n"));
        assert!(are_offered(b"[always] madvise never\n"));
        assert!(!are_offered(b"always madvise [never]\n"));
        assert!(!are_offered(b""));
    }

    #[test]
    fn what_is_joined_holds_what_it_held() {
        const SIZE: usize = 2 * 1024 * 1024;
        let mapped = Native.map(0, 2 * SIZE).unwrap();
        let start = NonNull::new(mapped.as_ptr().wrapping_add(mapped.as_ptr().align_offset(SIZE))).unwrap();
        let page = Native.page_size();
        // SAFETY: inside the test's own mapping, of which all but one page in eight are written to.
        unsafe {
            let pages = (0..SIZE).step_by(page);
            for at in pages.clone().filter(|at| at / page % 8 != 3) {
                start.add(at).write((at / page) as u8 | 1);
            }
            assert_eq!(Native.resident_pages(start, SIZE), SIZE / page / 8 * 7);
            if Native.join_pages(start, SIZE) {
                assert_eq!(Native.resident_pages(start, SIZE), SIZE / page);
            }
            for at in pages {
                let written = if at / page % 8 == 3 { 0 } else { (at / page) as u8 | 1 };
                assert_eq!(start.add(at).read(), written);
            }
            assert!(Native.unmap(mapped, 2 * SIZE));
        }
    }
}
