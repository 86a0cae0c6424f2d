//! The last walk of a thread's stack by tables, by which the next one is made shorter.
//!
//! The outer part of a stack is the same from one sample to the next more often than not, and to find a frame in the tables takes some hundred nanoseconds. So a walk ends
//! where it comes to a frame of the last one, if each return address from there on still lies in the stack where it lay then.

use super::profile::Trail;
use super::stacks::MAX_FRAMES;
use crate::os;
use crate::sync::Cell;
use core::ptr;

/// A frame of a function that has called another.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Frame {
    /// Where it goes on when that returns.
    address: usize,
    /// Where the stack stands then: on x86-64, a word above the address.
    stack: usize,
}

impl Frame {
    /// Where in memory the return address is.
    fn place(self) -> usize {
        self.stack.wrapping_sub(size_of::<usize>())
    }
}

/// Least bytes of a page on any system.
const PAGE: usize = 4096;

/// The frames of a thread's last walk, the innermost first. All of it is valid as zeros, which is no frame.
pub(crate) struct LastWalk {
    frames: [Cell<Frame>; MAX_FRAMES],
    len: Cell<usize>,
    /// True where the walk has come to the end of the stack, and not only of the room for frames.
    is_whole: Cell<bool>,
}

impl LastWalk {
    /// No frame. The next walk is as long as the stack is.
    pub(crate) fn forget(&self) {
        self.len.set(0);
    }

    /// Where the frame is among those of the last walk, at `from` or further out, if it is there and all that are further out are unchanged. Otherwise moves `from` to where that can still be.
    fn find(&self, frame: Frame, from: &mut usize) -> Option<usize> {
        let frames = &self.frames[..self.len.get()];
        *from += frames.get(*from..)?.iter().take_while(|known| known.get().stack < frame.stack).count();
        if frames.get(*from)?.get() != frame {
            return None;
        }
        match frames[*from + 1..].iter().position(changed()) {
            None => Some(*from),
            Some(unlike) => {
                *from += 1 + unlike;
                None
            }
        }
    }

    /// Keeps the frames of a walk that found `fresh` ones, and then those of the last walk from `joint` on.
    fn keep(&self, fresh: &[usize], stacks: &[usize], joint: Option<usize>) {
        let known = joint.map_or(0..0, |joint| joint..self.len.get());
        let kept = known.len().min(MAX_FRAMES - fresh.len());
        let shift = |nth: usize| self.frames[fresh.len() + nth].set(self.frames[known.start + nth].get());
        if fresh.len() <= known.start {
            (0..kept).for_each(shift)
        } else {
            (0..kept).rev().for_each(shift)
        }
        for ((place, &address), &stack) in self.frames.iter().zip(fresh).zip(stacks) {
            place.set(Frame { address, stack });
        }
        self.len.set(fresh.len() + kept);
        self.is_whole.set(match joint {
            Some(_) => self.is_whole.get() && kept == known.len(),
            None => fresh.len() < MAX_FRAMES,
        });
    }
}

/// Says of one frame after the other whether its return address has changed.
fn changed() -> impl FnMut(&Cell<Frame>) -> bool {
    let mut readable_page = 0;
    move |frame| {
        let frame = frame.get();
        let place = frame.place();
        if place / PAGE != readable_page {
            if !os::is_readable(place) {
                return true;
            }
            readable_page = place / PAGE;
        }
        // SAFETY: the word can be read, as the system has said of its page just now, and is one of this thread's stack, or of whatever is there now, of which nothing else is known: so it is read as what
        // another thread may change. Stacks are aligned to words.
        unsafe { ptr::with_exposed_provenance::<usize>(place).read_volatile() != frame.address }
    }
}

/// The calling functions, of a thread whose last walk this is.
pub(super) fn walk(last: &LastWalk, trail: &mut Trail) {
    let mut stacks = [0; MAX_FRAMES];
    let (mut from, mut joint) = (0, None);
    os::unwind(&mut |address, stack| {
        let known = trail.frames();
        // The outermost function of some stacks is its own caller.
        if address == 0 || known.last() == Some(&address) && stacks[known.len() - 1] == stack {
            return false;
        }
        let fresh = known.len();
        if cfg!(target_arch = "x86_64") {
            joint = last
                .find(Frame { address, stack }, &mut from)
                .filter(|joint| last.is_whole.get() || fresh + last.len.get() - joint >= MAX_FRAMES);
        }
        stacks[fresh] = stack;
        joint.is_none() && trail.push(address)
    });
    let fresh = trail.frames().len();
    last.keep(trail.frames(), &stacks, joint);
    last.frames[fresh..last.len.get()].iter().all(|frame| trail.push(frame.get().address));
}

#[cfg(all(test, not(loom), not(miri)))]
mod tests {
    use super::*;
    use core::array;
    use core::hint::black_box;

    fn no_walk() -> LastWalk {
        LastWalk {
            frames: array::from_fn(|_| Cell::new(Frame { address: 0, stack: 0 })),
            len: Cell::new(0),
            is_whole: Cell::new(false),
        }
    }

    /// The callers from here, found with and without the last walk; and those alone that are not this function's own.
    #[inline(never)]
    fn assert_same(last: &LastWalk) {
        let both = [last, &no_walk()].map(|last| {
            let mut trail = Trail::EMPTY;
            walk(last, &mut trail);
            trail
        });
        let [known, new] = &both;
        assert!(new.frames().len() > 3);
        assert_eq!(known.frames().len(), new.frames().len());
        let outer = known.frames().iter().zip(new.frames()).filter(|(a, b)| a == b).count();
        assert!(outer + 3 >= known.frames().len(), "{:x?} {:x?}", known.frames(), new.frames());
    }

    #[inline(never)]
    fn deeper(last: &LastWalk, depth: usize, way: usize) {
        let room = black_box([way; 8]);
        match (depth, way % 3) {
            (0, _) => assert_same(last),
            (_, 0) => deeper(last, depth - 1, way / 3),
            (_, 1) => other(last, depth - 1, way / 3),
            _ => {
                assert_same(last);
                deeper(last, depth - 1, way / 3);
            }
        }
        black_box(room);
    }

    #[inline(never)]
    fn other(last: &LastWalk, depth: usize, way: usize) {
        let room = black_box([way; 30]);
        deeper(last, depth, way);
        black_box(room);
    }

    #[test]
    fn a_walk_that_uses_the_last_one_finds_what_one_without_it_finds() {
        if !os::find_unwinder() {
            return;
        }
        let last = no_walk();
        for way in 0..2000 {
            deeper(&last, way % 60, way * 7919);
            deeper(&last, way % 7, way * 104_729);
        }
        // More than there is room for.
        for depth in [100, 130, 200, 140, 90, 250, 120, 3] {
            deeper(&last, depth, depth);
        }
    }

    #[test]
    fn a_frame_is_known_again_only_while_all_that_are_further_out_are_as_they_were() {
        let words: [Cell<usize>; 4] = array::from_fn(|nth| Cell::new(100 + nth));
        let stack = |nth: usize| ptr::from_ref(&words[nth]).expose_provenance() + size_of::<usize>();
        let last = no_walk();
        let all: [usize; 4] = array::from_fn(stack);
        last.keep(&[100, 101, 102, 103], &all, None);
        let find = |nth, address, from: &mut usize| last.find(Frame { address, stack: stack(nth) }, from);
        assert_eq!(find(0, 100, &mut 0), Some(0));
        assert_eq!(find(1, 101, &mut 0), Some(1));
        assert_eq!(find(1, 7, &mut 0), None, "another place in the function");
        words[2].set(7);
        let mut from = 0;
        assert_eq!(find(1, 101, &mut from), None);
        assert_eq!(from, 2, "nothing further in can be known again");
        assert_eq!(find(3, 103, &mut from), Some(3));
    }

    #[test]
    fn what_is_not_there_any_more_is_not_read() {
        let last = no_walk();
        last.keep(&[1, 2], &[0x1000, 0x2008], None);
        assert_eq!(last.find(Frame { address: 1, stack: 0x1000 }, &mut 0), None);
    }

    #[test]
    fn frames_that_are_kept_move_to_where_they_belong() {
        let last = no_walk();
        let stacks: [usize; MAX_FRAMES] = array::from_fn(|nth| nth + 1);
        let frames = |last: &LastWalk| -> std::vec::Vec<usize> {
            last.frames[..last.len.get()].iter().map(|frame| frame.get().address).collect()
        };
        last.keep(&[1, 2, 3, 4], &stacks, None);
        last.keep(&[9, 8, 7], &stacks, Some(1));
        assert_eq!(frames(&last), [9, 8, 7, 2, 3, 4]);
        last.keep(&[5], &stacks, Some(4));
        assert_eq!(frames(&last), [5, 3, 4]);
        assert!(last.is_whole.get());
        last.keep(&[6; MAX_FRAMES - 1], &stacks, Some(1));
        assert_eq!((frames(&last)[MAX_FRAMES - 1], last.is_whole.get()), (3, false));
    }
}
