//! Runs a command without the program noticing, whose process this is. No signal tells of the command's end, no `wait`
//! of the program's finds it, and no memory is needed.
//!
//! A process that was made without a signal for its end is invisible to `wait`. One that executes a file gets that
//! signal back, so there are two: a *companion*, which executes nothing and is invisible, and its child, which becomes
//! the command. The thread that asked waits for the companion, and the companion for the command. All three share the
//! memory and run one after the other.

use core::cell::Cell;
use core::ffi::{CStr, c_char, c_int, c_void};
use core::mem::MaybeUninit;
use core::ptr;
use tenure::profile_dumps::without_signals;

/// How a command has ended.
pub(crate) enum Ended {
    /// By itself, with this status.
    WithStatus(c_int),
    /// By a signal.
    BySignal(c_int),
    /// It was not there, or could not be started.
    NotStarted,
}

/// Bytes of a stack on which only system calls are made.
const STACK: usize = 8 * 1024;

#[repr(align(16))]
struct Stack(MaybeUninit<[u8; STACK]>);

impl Stack {
    const fn new() -> Self {
        Self(MaybeUninit::uninit())
    }

    /// The end, where a stack that grows down begins.
    fn top(&mut self) -> *mut c_void {
        self.0.as_mut_ptr().wrapping_add(1).cast()
    }
}

/// What the three processes have in common.
struct Order<'a> {
    command: &'a CStr,
    /// Ends in a null.
    arguments: &'a [*const c_char],
    input: c_int,
    errors: c_int,
    /// Where the command's process begins.
    stack: *mut c_void,
    /// What `wait` has said of the command, once it has ended.
    status: Cell<Option<c_int>>,
    is_executed: Cell<bool>,
}

/// Runs `command` with `input` as its standard input, `errors` as its standard error and nothing in its environment,
/// and waits until it has ended.
pub(crate) fn run(command: &CStr, arguments: &[*const c_char], input: c_int, errors: c_int) -> Ended {
    let (mut first, mut second) = (Stack::new(), Stack::new());
    let stack = second.top();
    let (status, is_executed) = (Cell::new(None), Cell::new(true));
    let order = Order { command, arguments, input, errors, stack, status, is_executed };
    let argument = ptr::from_ref(&order).cast_mut().cast();
    // A handler of the program's would run in the companion, too, in the same memory.
    without_signals(|| {
        // SAFETY: a stack of its own. This thread stands still until the companion has ended, so what the companion is
        // told stays.
        let companion = unsafe { libc::clone(accompany, first.top(), libc::CLONE_VM | libc::CLONE_VFORK, argument) };
        if companion > 0 {
            wait(companion, libc::__WCLONE);
        }
    });
    match order.status.get() {
        Some(status) if order.is_executed.get() && libc::WIFSIGNALED(status) => Ended::BySignal(libc::WTERMSIG(status)),
        Some(status) if order.is_executed.get() => Ended::WithStatus(libc::WEXITSTATUS(status)),
        _ => Ended::NotStarted,
    }
}

/// Waits for a child of the calling process; what is said of it, if it is found.
fn wait(child: c_int, options: c_int) -> Option<c_int> {
    let mut status = 0;
    loop {
        // SAFETY: a valid place for the answer.
        if unsafe { libc::waitpid(child, &mut status, options) } == child {
            return Some(status);
        }
        // SAFETY: the C library gives every thread an `errno`.
        if unsafe { *libc::__errno_location() } != libc::EINTR {
            return None;
        }
    }
}

/// The companion: starts the command and waits for it.
extern "C" fn accompany(order: *mut c_void) -> c_int {
    // SAFETY: `run` has passed it, and waits.
    let order = unsafe { &*order.cast::<Order<'_>>() };
    // Where the program ignores its children's ends, they would vanish. The companion's dispositions are its own.
    // SAFETY: a signal that there is.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
    let argument = ptr::from_ref(order).cast_mut().cast();
    // SAFETY: a stack of its own. This process stands still until the child has become the command, or has ended.
    let child = unsafe {
        libc::clone(become_the_command, order.stack, libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD, argument)
    };
    if child > 0 {
        order.status.set(wait(child, 0));
    }
    0
}

/// The companion's child: becomes the command.
extern "C" fn become_the_command(order: *mut c_void) -> c_int {
    // SAFETY: `run` has passed it, and waits.
    let order = unsafe { &*order.cast::<Order<'_>>() };
    if order.input == libc::STDIN_FILENO {
        // SAFETY: no preconditions.
        unsafe { libc::fcntl(order.input, libc::F_SETFD, 0) };
    } else {
        // SAFETY: no preconditions.
        unsafe { libc::dup2(order.input, libc::STDIN_FILENO) };
    }
    if order.errors != libc::STDERR_FILENO {
        // SAFETY: no preconditions.
        unsafe { libc::dup2(order.errors, libc::STDERR_FILENO) };
    }
    raise_limit();
    unblock_signals();
    let environment = [ptr::null::<c_char>()];
    // SAFETY: texts that end in nulls, and lists that do.
    unsafe { libc::execve(order.command.as_ptr(), order.arguments.as_ptr(), environment.as_ptr()) };
    order.is_executed.set(false);
    127
}

/// The program may have used up what addresses it may have; the command is another process, and may have as many as are
/// permitted.
fn raise_limit() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a valid place for the answer.
    if unsafe { libc::getrlimit(libc::RLIMIT_AS, &mut limit) } == 0 {
        limit.rlim_cur = limit.rlim_max;
        // SAFETY: a valid limit.
        unsafe { libc::setrlimit(libc::RLIMIT_AS, &limit) };
    }
}

/// Takes signals as a new program does, and none of the old program's handlers.
fn unblock_signals() {
    for number in 1..=libc::SIGRTMAX() {
        let mut action = MaybeUninit::<libc::sigaction>::uninit();
        // SAFETY: a valid place for the answer.
        if unsafe { libc::sigaction(number, ptr::null(), action.as_mut_ptr()) } != 0 {
            continue;
        }
        // SAFETY: filled in by the successful call.
        if unsafe { action.assume_init() }.sa_sigaction != libc::SIG_IGN {
            // SAFETY: a signal that there is.
            unsafe { libc::signal(number, libc::SIG_DFL) };
        }
    }
    let mut none = MaybeUninit::uninit();
    // SAFETY: a valid place for a set.
    unsafe { libc::sigemptyset(none.as_mut_ptr()) };
    // SAFETY: filled in just now.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, none.as_ptr(), ptr::null_mut()) };
}
