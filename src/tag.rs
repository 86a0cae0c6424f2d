//! Tags: names under which memory is counted, such as components, queries or tenants. A name gets its number when it is
//! first asked for, and keeps it.

use crate::sync::plain::{AtomicU64, Ordering};
use core::fmt::{self, Debug, Formatter};
use core::num::NonZeroU8;
use core::ptr;
use core::slice;
use core::str;

/// Most tags of a process.
pub(crate) const TAGS: usize = 64;

/// A tag: a name under which memory is counted, see [`tagged`](crate::tagged).
///
/// A process has 64 at most, and none is ever given back. A `Tag` is one byte.
///
/// ```
/// use tenure::Tag;
///
/// let queries = Tag::named("queries").expect("few names are used");
/// assert_eq!(queries.name(), "queries");
/// assert_eq!(Tag::named("queries"), Some(queries));
/// assert_ne!(Tag::named("sessions"), Some(queries));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tag(NonZeroU8);

/// The names of the tags, by number: address and length in one word, so that a name is there whole or not at all. 0
/// where there is none yet.
static NAMES: [AtomicU64; TAGS] = [const { AtomicU64::new(0) }; TAGS];

/// Bits of an address that a program can have, where addresses have so many at all. The length is above.
const ADDRESS_BITS: u32 = 48;

impl Tag {
    /// The tag with this name: the one that has it already, or a new one. `None` where there are 64 others, or the name
    /// has more than 65,535 bytes.
    ///
    /// Compares the name with those that there are, so it is better asked for once than at every use. Neither locks nor
    /// allocates. A name that is made at run time can be had by `String::leak`.
    pub fn named(name: &'static str) -> Option<Self> {
        let word = pack(name)?;
        for (index, place) in NAMES.iter().enumerate() {
            // Acquire: pairs with the Release below, for the text of a name that was made at run time.
            let mut there = place.load(Ordering::Acquire);
            if there == 0 {
                // Release: the text comes before the name. Pairs with the Acquire of who reads it.
                match place.compare_exchange(0, word, Ordering::Release, Ordering::Acquire) {
                    Ok(_) => there = word,
                    Err(other) => there = other,
                }
            }
            if unpack(there) == name {
                return Self::numbered(index + 1);
            }
        }
        None
    }

    /// The tag's name.
    pub fn name(self) -> &'static str {
        // Acquire: pairs with the Release in `named`.
        unpack(NAMES[self.index()].load(Ordering::Acquire))
    }

    /// The tag with this number, from 1 on.
    fn numbered(number: usize) -> Option<Self> {
        NonZeroU8::new(u8::try_from(number).ok()?).map(Self)
    }

    /// The tag's number, from 1 on.
    pub(crate) fn number(self) -> u8 {
        self.0.get()
    }

    /// The tag's place among all.
    pub(crate) fn index(self) -> usize {
        usize::from(self.0.get()) - 1
    }

    /// All tags that have been named.
    pub(crate) fn all() -> impl Iterator<Item = Self> + Clone {
        let named = NAMES.iter().take_while(|name| name.load(Ordering::Relaxed) != 0).count();
        (1..=named).filter_map(Self::numbered)
    }
}

impl Debug for Tag {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tag").field(&self.name()).finish()
    }
}

fn pack(name: &'static str) -> Option<u64> {
    let (address, len) = (name.as_ptr().expose_provenance() as u64, u16::try_from(name.len()).ok()?);
    (address >> ADDRESS_BITS == 0).then_some(address | u64::from(len) << ADDRESS_BITS)
}

fn unpack(word: u64) -> &'static str {
    let address = word & ((1 << ADDRESS_BITS) - 1);
    let len = (word >> ADDRESS_BITS) as usize;
    if address == 0 {
        return "";
    }
    // SAFETY: what `pack` was given: a text that is there for ever.
    let bytes = unsafe { slice::from_raw_parts(ptr::with_exposed_provenance(address as usize), len) };
    // SAFETY: as above.
    unsafe { str::from_utf8_unchecked(bytes) }
}
