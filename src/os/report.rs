//! One line on standard error; and, where nothing else is left to do, the end of the process.
//!
//! The line is put together in a buffer on the stack: a process whose heap is in doubt must not allocate to say so.

#[cfg(not(loom))]
use crate::sync::{AtomicPtr, Ordering};
use core::fmt::{self, Display, Formatter, Write};
#[cfg(not(loom))]
use core::{mem, ptr};

/// Longest line that is written whole; a longer one is cut.
const LINE: usize = 512;

struct Line {
    bytes: [u8; LINE],
    len: usize,
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = &mut self.bytes[self.len..];
        let count = text.len().min(room.len());
        room[..count].copy_from_slice(&text.as_bytes()[..count]);
        self.len += count;
        Ok(())
    }
}

/// Writes `tenure: ` and the message as one line to standard error, as far as that is possible. Keeps `errno`.
#[cold]
pub(crate) fn complain(message: fmt::Arguments<'_>) {
    write(format_args!("tenure: {message}"));
}

fn write(message: fmt::Arguments<'_>) {
    let mut line = Line { bytes: [0; LINE], len: 0 };
    // `Line` cuts what does not fit and never fails.
    let _ = line.write_fmt(message);
    line.len = line.len.min(LINE - 1);
    let _ = line.write_str("\n");
    super::write_stderr(&line.bytes[..line.len]);
}

/// Writes the message as one line to standard error, as [`complain`] does: a line that belongs to one before it.
#[cfg(feature = "profile")]
#[cold]
pub(crate) fn line(message: fmt::Arguments<'_>) {
    write(message);
}

/// Knows more about an address, and writes it as the end of a sentence.
pub(crate) type Teller = fn(usize, &mut dyn Write);

/// Who is asked about addresses; null as long as nobody is.
#[cfg(not(loom))]
static TELLER: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());

/// Has `teller` asked about the address of each misuse.
#[cfg(not(loom))]
pub(crate) fn ask(teller: Teller) {
    TELLER.store(teller as *mut (), Ordering::Relaxed);
}

/// Knows where an address came from, and writes lines of its own about it.
#[cfg(all(feature = "profile", not(loom)))]
pub(crate) type OriginTeller = fn(usize);

/// Who is asked where addresses came from; null as long as nobody is.
#[cfg(all(feature = "profile", not(loom)))]
static ORIGIN_TELLER: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());

/// Has `teller` asked where the address of each misuse came from, after the line that names the misuse.
#[cfg(all(feature = "profile", not(loom)))]
pub(crate) fn ask_for_origin(teller: OriginTeller) {
    ORIGIN_TELLER.store(teller as *mut (), Ordering::Relaxed);
}

#[cfg(all(feature = "profile", not(loom)))]
fn tell_origin(address: usize) {
    let teller = ORIGIN_TELLER.load(Ordering::Relaxed);
    if !teller.is_null() {
        // SAFETY: `ask_for_origin` alone stores there, and a teller.
        let teller = unsafe { mem::transmute::<*mut (), OriginTeller>(teller) };
        teller(address);
    }
}

/// What is known of an address.
struct Known(usize);

impl Display for Known {
    #[cfg_attr(loom, expect(unused_variables, reason = "models have no misuse"))]
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        #[cfg(not(loom))]
        {
            let teller = TELLER.load(Ordering::Relaxed);
            if !teller.is_null() {
                // SAFETY: `ask` alone stores there, and a teller.
                let teller = unsafe { mem::transmute::<*mut (), Teller>(teller) };
                teller(self.0, f);
            }
        }
        Ok(())
    }
}

/// As [`fatal`], of what has been done to `address`: with what is known of it.
#[cold]
#[inline(never)]
pub(crate) fn fatal_about(address: usize, message: fmt::Arguments<'_>) -> ! {
    complain(format_args!("{message}{}", Known(address)));
    #[cfg(all(feature = "profile", not(loom)))]
    tell_origin(address);
    super::abort()
}

/// Writes `tenure: ` and the message as one line, and aborts.
#[cold]
#[inline(never)]
pub(crate) fn fatal(message: fmt::Arguments<'_>) -> ! {
    complain(message);
    super::abort()
}
