//! Linux: a thread of the allocator's own, and the word that it waits on.

use super::{EndOfWait, KeepErrno};
use crate::sync::plain::{AtomicU32, Ordering};
use core::ffi::{CStr, c_int, c_void};
use core::mem::MaybeUninit;
use core::ptr::{self, NonNull};

/// Starts a thread that runs `body` on the given stack and takes no signals. True where it runs; false where the system
/// has no thread to give, or where the stack is too small: the program's thread-local storage lies there, too. May
/// allocate.
///
/// # Safety
/// - `stack..stack + len` is mapped, in whole pages, and nobody else's for as long as the thread runs.
pub(crate) unsafe fn start_thread(
    stack: NonNull<u8>,
    len: usize,
    body: extern "C" fn(*mut c_void) -> *mut c_void,
) -> bool {
    let _errno = KeepErrno::new();
    let (mut attributes, mut all, mut before) = (MaybeUninit::uninit(), MaybeUninit::uninit(), MaybeUninit::uninit());
    // SAFETY: places for what the calls write, each written by the first call that names it.
    unsafe {
        if libc::pthread_attr_init(attributes.as_mut_ptr()) != 0 {
            return false;
        }
        let mut thread = MaybeUninit::uninit();
        libc::sigfillset(all.as_mut_ptr());
        // The new thread inherits what its maker blocks.
        let is_started = libc::pthread_attr_setdetachstate(attributes.as_mut_ptr(), libc::PTHREAD_CREATE_DETACHED) == 0
            && libc::pthread_attr_setstack(attributes.as_mut_ptr(), stack.as_ptr().cast(), len) == 0
            && libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr()) == 0
            && {
                let made = libc::pthread_create(thread.as_mut_ptr(), attributes.as_ptr(), body, ptr::null_mut());
                libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), ptr::null_mut());
                made == 0
            };
        libc::pthread_attr_destroy(attributes.as_mut_ptr());
        is_started
    }
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

/// True where all threads of the process have ended but the calling one: the first is left as an entry in the system's
/// list.
pub(crate) fn is_last_thread() -> bool {
    let _errno = KeepErrno::new();
    let mut text = [0_u8; 1024];
    // SAFETY: a text that ends in a null.
    let file = unsafe { libc::open(c"/proc/self/stat".as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) };
    if file < 0 {
        return false;
    }
    // SAFETY: the buffer is valid for its length, and the file is open.
    let len = unsafe {
        let len = libc::read(file, text.as_mut_ptr().cast(), text.len());
        libc::close(file);
        len
    };
    let read = text.get(..usize::try_from(len).unwrap_or(0)).unwrap_or_default();
    // The second field is the program's name in parentheses, in which anything may stand.
    let Some(end) = read.iter().rposition(|&byte| byte == b')') else { return false };
    let mut fields = read[end + 1..].split(|&byte| byte == b' ').skip(1);
    // The third field is the first thread's state, and the 20th the number of threads.
    fields.next() == Some(b"Z") && fields.nth(16) == Some(b"2")
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
