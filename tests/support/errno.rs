//! The C library's error number, which allocation in Rust leaves alone.

/// One that no system call of Tenure's sets.
const ERRNO: i32 = libc::EXDEV;

/// Runs `call`, which has to leave `errno` alone.
pub fn keeping_errno<T>(call: impl FnOnce() -> T) -> T {
    // SAFETY: valid for the calling thread.
    let errno = unsafe { &mut *libc::__errno_location() };
    *errno = ERRNO;
    let result = call();
    // SAFETY: as above.
    assert_eq!(unsafe { *libc::__errno_location() }, ERRNO);
    result
}
