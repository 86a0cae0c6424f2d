//! Frames: return addresses on standard error, a line for each, with the file that the code was loaded from.
//!
//! Names of functions are in those files, and to look for them takes memory. `addr2line -Cfe FILE OFFSET` has them
//! later.

use super::report::line;
use crate::sync::UnsafeCell;
use crate::sync::plain::{AtomicBool, Ordering};
use core::fmt::{self, Display, Formatter};

/// Frames of which the files are looked for; those behind them are addresses alone.
const MOST: usize = 64;

/// Bytes of files' names: a stack leads through few files.
const NAMES: usize = 4096;

/// A name among the others, and what the address is there.
#[derive(Clone, Copy)]
struct Place {
    offset: usize,
    start: u16,
    len: u16,
}

const NOWHERE: Place = Place { offset: 0, start: 0, len: 0 };

/// The files from which code was loaded.
pub(crate) struct Modules {
    places: [Place; MOST],
    names: [u8; NAMES],
    used: usize,
    /// The name that was added last.
    last: Place,
}

impl Modules {
    const fn new() -> Self {
        Self { places: [NOWHERE; MOST], names: [0; NAMES], used: 0, last: NOWHERE }
    }

    fn clear(&mut self) {
        self.places = [NOWHERE; MOST];
        self.used = 0;
        self.last = NOWHERE;
    }

    fn name_of(&self, place: Place) -> &[u8] {
        let start = usize::from(place.start);
        &self.names[start..start + usize::from(place.len)]
    }

    /// The `nth` frame is at `offset` of the file `name`. Forgotten where there is no room for the name.
    pub(crate) fn add(&mut self, nth: usize, name: &[u8], offset: usize) {
        if self.name_of(self.last) != name {
            let Some(room) = self.names[self.used..].get_mut(..name.len()) else { return };
            room.copy_from_slice(name);
            self.last = Place { offset: 0, start: self.used as u16, len: name.len() as u16 };
            self.used += name.len();
        }
        if let Some(place) = self.places.get_mut(nth) {
            *place = Place { offset, ..self.last };
        }
    }

    /// The file of the `nth` frame, and where in it that is.
    fn get(&self, nth: usize) -> Option<(&[u8], usize)> {
        let place = *self.places.get(nth).filter(|place| place.len > 0)?;
        Some((self.name_of(place), place.offset))
    }
}

const _: () = assert!(NAMES <= u16::MAX as usize);

/// What is too large for the stack of a thread whose stack is small.
struct Room(UnsafeCell<Modules>);

// SAFETY: touched by whoever has set `IS_TAKEN`.
unsafe impl Sync for Room {}

static ROOM: Room = Room(UnsafeCell::new(Modules::new()));
static IS_TAKEN: AtomicBool = AtomicBool::new(false);

/// A file's name as text.
struct Name<'a>(&'a [u8]);

impl Display for Name<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.utf8_chunks().try_for_each(|chunk| f.write_str(chunk.valid()))
    }
}

/// Writes the stack to standard error, the innermost function first. Neither allocates nor waits, so it may be called
/// in a signal handler.
///
/// A return address is behind its call, which may be the last of its function; so what is written is one byte before
/// it.
pub(crate) fn write_frames(frames: &[usize]) {
    // Acquire: pairs with the Release below, for the room.
    let is_mine = !IS_TAKEN.swap(true, Ordering::Acquire);
    // SAFETY: taken just now, by this thread.
    let modules = is_mine.then(|| unsafe { &mut *ROOM.0.get() });
    let modules = modules.map(|modules| {
        modules.clear();
        super::native::modules_of(&frames[..frames.len().min(MOST)], modules);
        &*modules
    });
    for (nth, frame) in frames.iter().enumerate() {
        let address = frame.saturating_sub(1);
        match modules.and_then(|modules| modules.get(nth)) {
            Some((name, offset)) => line(format_args!("    #{nth} {address:#x} {}+{offset:#x}", Name(name))),
            None => line(format_args!("    #{nth} {address:#x}")),
        }
    }
    if is_mine {
        // Release: pairs with the Acquire above.
        IS_TAKEN.store(false, Ordering::Release);
    }
}

/// In a forked child: whoever was writing is not there.
pub(crate) fn forget() {
    IS_TAKEN.store(false, Ordering::Relaxed);
}

#[cfg(all(test, not(miri)))]
mod tests {
    use super::*;

    #[test]
    fn names_are_kept_once_and_what_has_no_room_is_left_out() {
        let mut modules = Modules::new();
        modules.add(0, b"/bin/one", 1);
        modules.add(2, b"/bin/one", 2);
        assert_eq!(modules.used, 8);
        modules.add(1, &[b'x'; NAMES - 8], 3);
        modules.add(3, b"/bin/two", 4);
        modules.add(MOST, b"/bin/one", 5);
        assert_eq!((modules.get(0), modules.get(2)), (Some((&b"/bin/one"[..], 1)), Some((&b"/bin/one"[..], 2))));
        assert_eq!(modules.get(1).map(|(name, offset)| (name.len(), offset)), Some((NAMES - 8, 3)));
        assert!(modules.get(3).is_none() && modules.get(MOST).is_none());
    }
}
