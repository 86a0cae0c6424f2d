//! What reports need of Linux: the environment, files, a signal. Everything keeps `errno`, and nothing allocates.

pub(crate) use super::cancellation::without_cancellation;
#[cfg(feature = "profile")]
pub(crate) use super::signals::without_signals;
pub(crate) use super::signals::without_write_signals;
use super::{KeepErrno, signals};
use crate::sync::plain::{AtomicU32, Ordering};
use core::ffi::{CStr, c_char, c_int};
use core::fmt::{self, Display, Formatter};
use core::mem::MaybeUninit;
use core::ptr;
use core::time::Duration;

/// Why a system call has failed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failure(c_int);

impl Failure {
    fn last() -> Self {
        // SAFETY: the C library gives every thread an `errno`.
        Self(unsafe { *libc::__errno_location() })
    }

    /// As `errno` has it.
    pub(crate) fn number(self) -> c_int {
        self.0
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            libc::ENOSPC | libc::EDQUOT => "there is no space left",
            libc::EFBIG => "the file may not grow further",
            libc::EROFS => "the file system is read-only",
            libc::EACCES | libc::EPERM => "that is not permitted",
            libc::ENOENT | libc::ENOTDIR => "there is no such folder",
            libc::EISDIR => "it is a folder",
            libc::EMFILE | libc::ENFILE => "too many files are open",
            libc::ENAMETOOLONG => "the name is too long",
            libc::EPIPE | libc::EBADF => "nobody reads it any more",
            libc::ENXIO => "nobody reads it",
            libc::ELOOP => "too many links lead on from it",
            libc::EIO => "the device has failed",
            other => return write!(f, "the system's error {other}"),
        })
    }
}

/// Passes each entry of the environment, `name=value`, to `each`; none where the program has more rights than its user.
pub(crate) fn environment(each: &mut dyn FnMut(&[u8])) {
    unsafe extern "C" {
        static environ: *const *const c_char;
    }
    // SAFETY: no preconditions.
    if unsafe { libc::getauxval(libc::AT_SECURE) } != 0 {
        return;
    }
    // SAFETY: the C library's variable, which nobody changes while libraries are loaded; later, the caller's duty as of
    // all who read the environment.
    let mut entry = unsafe { environ };
    while !entry.is_null() {
        // SAFETY: the environment ends in a null, which ends the loop.
        let text = unsafe { *entry };
        if text.is_null() {
            return;
        }
        // SAFETY: an entry of the environment is a text that ends in a null.
        each(unsafe { CStr::from_ptr(text) }.to_bytes());
        entry = entry.wrapping_add(1);
    }
}

/// An open file.
pub(crate) struct File {
    descriptor: c_int,
    /// True where it is closed when this is dropped.
    is_own: bool,
}

/// What tells one open file from another.
type Identity = (libc::dev_t, libc::ino_t);

fn status(descriptor: c_int) -> Option<libc::stat> {
    let mut status = MaybeUninit::uninit();
    // SAFETY: a valid place for the answer.
    let is_known = unsafe { libc::fstat(descriptor, status.as_mut_ptr()) } == 0;
    // SAFETY: filled in by the successful call.
    is_known.then(|| unsafe { status.assume_init() })
}

impl File {
    /// A descriptor of somebody else's.
    pub(crate) const fn borrowed(descriptor: c_int) -> Self {
        Self { descriptor, is_own: false }
    }

    /// The number under which it is open.
    #[cfg(feature = "profile")]
    pub(crate) fn descriptor(&self) -> c_int {
        self.descriptor
    }

    /// Opens a file to write behind its end, and makes it where there is none. A pipe that nobody reads is refused, and
    /// not waited for.
    pub(crate) fn append(path: &CStr) -> Result<Self, Failure> {
        let file = Self::open_as(path, libc::O_WRONLY | libc::O_CREAT | libc::O_APPEND | libc::O_NONBLOCK)?;
        let _errno = KeepErrno::new();
        // From here on the file is as it would be: what is written there goes there whole.
        // SAFETY: no preconditions.
        unsafe { libc::fcntl(file.descriptor, libc::F_SETFL, libc::O_APPEND) };
        Ok(file)
    }

    /// Opens a file to write it anew.
    pub(crate) fn create(path: &CStr) -> Result<Self, Failure> {
        Self::open_as(path, libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC)
    }

    /// Makes a file where nothing has this name, not even a link.
    pub(crate) fn create_new(path: &CStr) -> Result<Self, Failure> {
        Self::open_as(path, libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW)
    }

    /// Opens a file to read it.
    #[cfg(feature = "profile")]
    pub(crate) fn read_only(path: &CStr) -> Result<Self, Failure> {
        Self::open_as(path, libc::O_RDONLY)
    }

    fn open_as(path: &CStr, flags: c_int) -> Result<Self, Failure> {
        let _errno = KeepErrno::new();
        let flags = libc::O_CLOEXEC | flags;
        // SAFETY: a path that ends in a null.
        let descriptor = unsafe { libc::open(path.as_ptr(), flags, 0o666) };
        if descriptor < 0 { Err(Failure::last()) } else { Ok(Self { descriptor, is_own: true }) }
    }

    /// Writes some of the bytes, at least one.
    pub(crate) fn write(&self, bytes: &[u8]) -> Result<usize, Failure> {
        let _errno = KeepErrno::new();
        loop {
            // SAFETY: the bytes are valid for their length.
            match unsafe { libc::write(self.descriptor, bytes.as_ptr().cast(), bytes.len()) } {
                count @ 1.. => return Ok(count as usize),
                _ if Failure::last() == Failure(libc::EINTR) => {}
                _ => return Err(Failure::last()),
            }
        }
    }

    /// Reads some bytes; none at the file's end.
    #[cfg(feature = "profile")]
    pub(crate) fn read(&self, bytes: &mut [u8]) -> Result<usize, Failure> {
        let _errno = KeepErrno::new();
        loop {
            // SAFETY: the bytes are valid for their length.
            match unsafe { libc::read(self.descriptor, bytes.as_mut_ptr().cast(), bytes.len()) } {
                count @ 0.. => return Ok(count as usize),
                _ if Failure::last() == Failure(libc::EINTR) => {}
                _ => return Err(Failure::last()),
            }
        }
    }

    /// Bytes that a regular file has.
    pub(crate) fn len(&self) -> Option<u64> {
        let _errno = KeepErrno::new();
        let status = status(self.descriptor).filter(|status| status.st_mode & libc::S_IFMT == libc::S_IFREG)?;
        u64::try_from(status.st_size).ok()
    }

    /// Cuts the file to so many bytes, if that can be.
    pub(crate) fn cut(&self, len: u64) {
        let _errno = KeepErrno::new();
        // SAFETY: no preconditions.
        unsafe { libc::ftruncate(self.descriptor, len as libc::off_t) };
    }
}

impl Drop for File {
    fn drop(&mut self) {
        if self.is_own {
            let _errno = KeepErrno::new();
            // SAFETY: opened by this file alone.
            unsafe { libc::close(self.descriptor) };
        }
    }
}

/// True where something else than a regular file has this name.
pub(crate) fn is_irregular(path: &CStr) -> bool {
    let _errno = KeepErrno::new();
    let mut status = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: a path that ends in a null, and a valid place for the answer.
    let is_known = unsafe { libc::lstat(path.as_ptr(), status.as_mut_ptr()) } == 0;
    // SAFETY: filled in by the successful call.
    is_known && unsafe { status.assume_init() }.st_mode & libc::S_IFMT != libc::S_IFREG
}

/// Where the link of this name leads, written to `target`; `None` where it is no link, or leads where `target` has no
/// room for it.
pub(crate) fn read_link<'a>(path: &CStr, target: &'a mut [u8]) -> Option<&'a [u8]> {
    let _errno = KeepErrno::new();
    // SAFETY: a path that ends in a null, and a place that is valid for its length.
    let len = unsafe { libc::readlink(path.as_ptr(), target.as_mut_ptr().cast(), target.len()) };
    usize::try_from(len).ok().filter(|&len| len < target.len()).map(|len| &target[..len])
}

/// Gives a file another name, in place of the file that has it.
pub(crate) fn rename(from: &CStr, to: &CStr) -> Result<(), Failure> {
    let _errno = KeepErrno::new();
    // SAFETY: paths that end in a null.
    if unsafe { libc::rename(from.as_ptr(), to.as_ptr()) } == 0 { Ok(()) } else { Err(Failure::last()) }
}

/// Removes a file, if that can be.
pub(crate) fn remove(path: &CStr) {
    let _errno = KeepErrno::new();
    // SAFETY: a path that ends in a null.
    unsafe { libc::unlink(path.as_ptr()) };
}

/// Standard error as it was, since many programs close theirs before they end.
pub(crate) struct KeptStderr {
    descriptor: c_int,
    identity: Identity,
}

impl KeptStderr {
    /// The lowest number that the kept descriptor is to have: those below, programs count on. The others are for
    /// processes that may not have so many files.
    const OUT_OF_THE_WAY: [c_int; 4] = [100, 30, 10, libc::STDERR_FILENO + 1];

    pub(crate) fn new() -> Option<Self> {
        let _errno = KeepErrno::new();
        let keep = |lowest: c_int| {
            // SAFETY: no preconditions.
            let descriptor = unsafe { libc::fcntl(libc::STDERR_FILENO, libc::F_DUPFD_CLOEXEC, lowest) };
            Some(descriptor).filter(|&descriptor| descriptor >= 0)
        };
        let descriptor = Self::OUT_OF_THE_WAY.into_iter().find_map(keep)?;
        let status = status(descriptor)?;
        Some(Self { descriptor, identity: (status.st_dev, status.st_ino) })
    }

    /// The file, unless the program has closed it, and perhaps opened something else in its place. Where it has closed
    /// what it does not know of alone, standard error itself is there still.
    pub(crate) fn get(&self) -> Option<File> {
        let _errno = KeepErrno::new();
        let is_it = |status: libc::stat| (status.st_dev, status.st_ino) == self.identity;
        let mut descriptors = [self.descriptor, libc::STDERR_FILENO].into_iter();
        descriptors.find(|&descriptor| status(descriptor).is_some_and(is_it)).map(File::borrowed)
    }
}

/// Has `hook` called when the process ends in an orderly way; false where that cannot be.
pub(crate) fn at_exit(hook: extern "C" fn()) -> bool {
    // SAFETY: a function without preconditions.
    unsafe { libc::atexit(hook) == 0 }
}

/// Signals that a program may be asked to report on, by their names.
const SIGNALS: [(&[u8], c_int); 9] = [
    (b"HUP", libc::SIGHUP),
    (b"INT", libc::SIGINT),
    (b"QUIT", libc::SIGQUIT),
    (b"USR1", libc::SIGUSR1),
    (b"USR2", libc::SIGUSR2),
    (b"URG", libc::SIGURG),
    (b"WINCH", libc::SIGWINCH),
    (b"IO", libc::SIGIO),
    (b"PWR", libc::SIGPWR),
];

/// The signal of this name, with or without `SIG`, if it is one that can be had.
pub(crate) fn signal_named(name: &[u8]) -> Option<c_int> {
    let name = name.strip_prefix(b"SIG").unwrap_or(name);
    SIGNALS.iter().find(|(known, _)| *known == name).map(|&(_, number)| number)
}

/// The signal of this number, if it is one that can be had: one of those with names, or a real-time signal.
pub(crate) fn signal_numbered(number: c_int) -> Option<c_int> {
    let is_known = SIGNALS.iter().any(|&(_, known)| known == number);
    (is_known || (libc::SIGRTMIN()..=libc::SIGRTMAX()).contains(&number)).then_some(number)
}

/// Has `hook` called on this signal, on whichever thread it arrives; false where the program has a handler of its own.
///
/// The hook may do only what is safe in a signal handler.
pub(crate) fn on_signal(number: c_int, hook: extern "C" fn(c_int)) -> bool {
    let _errno = KeepErrno::new();
    let mut old = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: a valid place for the answer.
    if unsafe { libc::sigaction(number, ptr::null(), old.as_mut_ptr()) } != 0 {
        return false;
    }
    // SAFETY: filled in by the successful call.
    let old = unsafe { old.assume_init() };
    if old.sa_sigaction != libc::SIG_DFL && old.sa_sigaction != libc::SIG_IGN {
        return false;
    }
    // SAFETY: zeros are a valid action.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    action.sa_sigaction = hook as *const () as usize;
    action.sa_mask = signals::none();
    // On the stack that the program has for its handlers, if it has one; and calls that are interrupted go on.
    action.sa_flags = libc::SA_RESTART | libc::SA_ONSTACK;
    // SAFETY: a valid action, whose hook has no preconditions.
    unsafe { libc::sigaction(number, &action, ptr::null_mut()) == 0 }
}

/// Something that happens now and then, and that one thread waits for.
pub(crate) struct Event(AtomicU32);

impl Event {
    pub(crate) const fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// How often it has happened, modulo 2^32.
    pub(crate) fn count(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    /// It happens. May be called in a signal handler.
    pub(crate) fn post(&self) {
        let _errno = KeepErrno::new();
        self.0.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the address of a word that stays; waking takes no more arguments.
        unsafe { libc::syscall(libc::SYS_futex, self.0.as_ptr(), libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG, 1) };
    }

    /// Waits until it has happened more often than `seen`, or so long. May return earlier.
    pub(crate) fn wait(&self, seen: u32, at_most: Duration) {
        let _errno = KeepErrno::new();
        let time = libc::timespec { tv_sec: at_most.as_secs() as libc::time_t, tv_nsec: at_most.subsec_nanos().into() };
        let operation = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
        // SAFETY: the address of a word that stays, and a valid time.
        unsafe { libc::syscall(libc::SYS_futex, self.0.as_ptr(), operation, seen, &raw const time) };
    }
}
