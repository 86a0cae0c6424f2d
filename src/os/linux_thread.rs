//! Linux: threads of the allocator's own, and the word that one waits on.

use super::signals::{Blocked, all_but};
use super::{EndOfWait, KeepErrno, Native, Platform, text};
use crate::number::decimal;
use crate::sync::plain::{AtomicU32, Ordering};
use core::ffi::{CStr, c_int, c_void};
use core::mem::{self, MaybeUninit};
use core::ptr;

/// Starts a detached thread that runs `body` and takes no signals, with a stack of at least `len` bytes. True where it
/// runs; false where the system has no thread to give, or where the stack is too small. May allocate.
pub(crate) fn start_thread(body: extern "C" fn(*mut c_void) -> *mut c_void, len: usize) -> bool {
    let _errno = KeepErrno::new();
    let mut attributes = MaybeUninit::uninit();
    // SAFETY: a valid place for attributes.
    if unsafe { libc::pthread_attr_init(attributes.as_mut_ptr()) } != 0 {
        return false;
    }
    // SAFETY: filled in by the successful call.
    let mut attributes = unsafe { attributes.assume_init() };
    let len = len.saturating_add(taken_of_stack(&attributes)).next_multiple_of(Native.page_size());
    // SAFETY: valid attributes.
    let is_fit = unsafe { libc::pthread_attr_setdetachstate(&mut attributes, libc::PTHREAD_CREATE_DETACHED) } == 0
        // SAFETY: as above.
        && unsafe { libc::pthread_attr_setstacksize(&mut attributes, len) } == 0;
    let is_started = is_fit && {
        // The new thread inherits what its maker blocks.
        let _blocked = Blocked::just(&all_but([]));
        let mut thread = MaybeUninit::uninit();
        // SAFETY: valid attributes, and a body that takes no argument.
        unsafe { libc::pthread_create(thread.as_mut_ptr(), &attributes, body, ptr::null_mut()) == 0 }
    };
    // SAFETY: valid attributes, which are not used any more.
    unsafe { libc::pthread_attr_destroy(&mut attributes) };
    is_started
}

/// Bytes that the C library takes of a thread's stack, as for the program's thread-local storage, where it says so: it
/// refuses a stack on which that has no room, but not one on which it leaves hardly any.
fn taken_of_stack(attributes: &libc::pthread_attr_t) -> usize {
    // SAFETY: a text that ends in a null.
    let function = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"__pthread_get_minstack".as_ptr()) };
    if function.is_null() {
        return 0;
    }
    type MinStack = unsafe extern "C" fn(*const libc::pthread_attr_t) -> usize;
    // SAFETY: glibc's function, of this type.
    let min_stack = unsafe { mem::transmute::<*mut c_void, MinStack>(function) };
    // SAFETY: valid attributes.
    unsafe { min_stack(attributes) }
}

/// Gives the calling thread a name, for those who list threads.
pub(crate) fn name_thread(name: &CStr) {
    let _errno = KeepErrno::new();
    // SAFETY: a text that ends in a null.
    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
}

fn futex(word: &AtomicU32, operation: c_int, value: u32, timeout: *const libc::timespec) -> Result<(), c_int> {
    let _errno = KeepErrno::new();
    let operation = operation | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: the word is valid, and so is the time, which may be null.
    if unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), operation, value, timeout) } < 0 {
        // SAFETY: valid for the calling thread.
        return Err(unsafe { *libc::__errno_location() });
    }
    Ok(())
}

/// Waits while `word` is `value`, for so many milliseconds at most.
pub(crate) fn wait(word: &AtomicU32, value: u32, milliseconds: u64) -> EndOfWait {
    let seconds = (milliseconds / 1000) as libc::time_t;
    let time = libc::timespec { tv_sec: seconds, tv_nsec: (milliseconds % 1000 * 1_000_000) as _ };
    match futex(word, libc::FUTEX_WAIT, value, &time) {
        Err(libc::ETIMEDOUT) => EndOfWait::Time,
        Ok(()) | Err(libc::EAGAIN | libc::EINTR) if word.load(Ordering::Relaxed) != value => EndOfWait::Change,
        Ok(()) | Err(libc::EINTR) => EndOfWait::Time,
        Err(_) => EndOfWait::Never,
    }
}

/// Wakes who waits on `word`.
pub(crate) fn wake(word: &AtomicU32) {
    // There may be nobody to wake, and where the system forbids it they wake by themselves.
    let _ = futex(word, libc::FUTEX_WAKE, 1, ptr::null());
}

/// How many threads the process has besides its first, where that one has ended: it is left as an entry in the system's
/// list until the process ends. `None` where it lives.
pub(crate) fn threads_without_first() -> Option<u64> {
    let _errno = KeepErrno::new();
    let mut text = [0; 1024];
    let mut fields = text::fields_of_stat(text::read(c"/proc/self/stat", &mut text)?);
    // The first thread's state, and the number of threads.
    fields.next().filter(|&state| state == b"Z")?;
    decimal(fields.nth(16)?)?.checked_sub(1)
}

/// Ends the process as the end of its last thread does.
pub(crate) fn end_process() -> ! {
    // SAFETY: the process's last thread.
    unsafe { libc::exit(0) }
}

/// A number that no other living thread has; not 0.
pub(crate) fn thread_token() -> usize {
    // SAFETY: the C library gives every thread an `errno` of its own.
    unsafe { libc::__errno_location() }.addr()
}
