//! Faults: a handler for accesses to memory that may not be accessed so, which stands before the one that was there.
//!
//! Everything here runs in a signal handler, perhaps on a stack of a few kilobytes: nothing allocates, waits or takes a
//! lock, and what needs room gets [another stack](super::room).

use super::{KeepErrno, thread_id};
use crate::os::Fault;
use crate::sync::UnsafeCell;
use crate::sync::plain::{AtomicBool, AtomicUsize, Ordering};
use core::ffi::{c_int, c_void};
use core::mem::{self, MaybeUninit};
use core::ptr;

/// What was to be done on a signal before.
struct Before {
    action: UnsafeCell<MaybeUninit<libc::sigaction>>,
    /// True once the handler is installed.
    is_known: AtomicBool,
}

// SAFETY: the action is written by the one thread that installs the handler, before it does; read by the handler alone.
unsafe impl Sync for Before {}

impl Before {
    const fn unknown() -> Self {
        Self { action: UnsafeCell::new(MaybeUninit::uninit()), is_known: AtomicBool::new(false) }
    }

    /// # Safety
    /// - The handler is installed for the signal.
    unsafe fn get(&self) -> libc::sigaction {
        // SAFETY: written before the handler was installed.
        unsafe { (*self.action.get()).assume_init() }
    }
}

/// The signals of faults, and what was to be done on each.
static BEFORE: [(c_int, Before); 2] = [(libc::SIGSEGV, Before::unknown()), (libc::SIGBUS, Before::unknown())];

/// The hook's address.
static HOOK: AtomicUsize = AtomicUsize::new(0);

type Hook = fn(&Fault) -> bool;

/// Has `hook` called on every fault of the process from now on; true from it means that the fault is told of, and the
/// process is to end by the signal. All others go to the handler that was there before, if there was one. False where
/// the system refuses; a later call tries again. Every call in a process passes the same hook, one at a time.
///
/// The hook may do only what is safe in a signal handler.
pub(crate) fn on_fault(hook: Hook) -> bool {
    let _errno = KeepErrno::new();
    HOOK.store(hook as *const () as usize, Ordering::Relaxed);
    BEFORE.iter().all(|(number, before)| before.is_known.load(Ordering::Relaxed) || install(*number, before))
}

fn install(number: c_int, before: &Before) -> bool {
    let mut known = MaybeUninit::uninit();
    // SAFETY: a valid place for the answer.
    if unsafe { libc::sigaction(number, ptr::null(), known.as_mut_ptr()) } != 0 {
        return false;
    }
    // SAFETY: filled in by the successful call.
    let known: libc::sigaction = unsafe { known.assume_init() };
    let handler = handle as *const () as usize;
    if known.sa_sigaction == handler {
        // A forked child, whose parent had got so far.
        before.is_known.store(true, Ordering::Relaxed);
        return true;
    }
    // SAFETY: one thread at a time comes here, and the handler is not installed yet.
    unsafe { (*before.action.get()).write(known) };
    // SAFETY: zeros are a valid action.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    action.sa_sigaction = handler;
    // What the handler before this one counts on.
    action.sa_mask = known.sa_mask;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | known.sa_flags & (libc::SA_NODEFER | libc::SA_RESTART);
    // SAFETY: a valid action.
    let is_installed = unsafe { libc::sigaction(number, &action, ptr::null_mut()) == 0 };
    before.is_known.store(is_installed, Ordering::Relaxed);
    is_installed
}

extern "C" fn handle(number: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    let _errno = KeepErrno::new();
    // SAFETY: the system passes what it knows of the signal.
    let code = unsafe { (*info).si_code };
    // What other processes send has no address.
    let is_fault = code > 0;
    // SAFETY: of a fault, the address is known.
    let is_told = is_fault && call_hook(&unsafe { fault(info, context) });
    if is_told {
        reset(number);
        // Comes as soon as this handler is left, and ends the process. The access is not tried again: by now, another
        // thread may have got the memory to itself.
        // SAFETY: the calling thread's own signal, of which the system gets back what it has passed.
        unsafe { libc::syscall(libc::SYS_rt_tgsigqueueinfo, libc::getpid(), thread_id(), number, info) };
        return;
    }
    let Some((_, before)) = BEFORE.iter().find(|(known, _)| *known == number) else { return };
    // SAFETY: this is the handler.
    let before = unsafe { before.get() };
    match before.sa_sigaction {
        libc::SIG_IGN if !is_fault => {}
        libc::SIG_DFL | libc::SIG_IGN => {
            reset(number);
            if !is_fault {
                // Comes as soon as this handler is left.
                // SAFETY: no preconditions.
                unsafe { libc::raise(number) };
            }
        }
        handler if before.sa_flags & libc::SA_SIGINFO != 0 => {
            // SAFETY: an action with this flag has such a handler.
            let handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) = unsafe { mem::transmute(handler) };
            handler(number, info, context);
        }
        handler => {
            // SAFETY: an action without that flag has such a handler.
            let handler: extern "C" fn(c_int) = unsafe { mem::transmute(handler) };
            handler(number);
        }
    }
}

fn call_hook(fault: &Fault) -> bool {
    let hook = ptr::with_exposed_provenance::<()>(HOOK.load(Ordering::Relaxed));
    // SAFETY: stored before the handler was installed, by `on_fault`, and of this type.
    let hook: Hook = unsafe { mem::transmute(hook) };
    hook(fault)
}

/// Has the signal end the process.
fn reset(number: c_int) {
    // SAFETY: zeros are a valid action: the default.
    let action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    // SAFETY: a valid action.
    unsafe { libc::sigaction(number, &action, ptr::null_mut()) };
}

const _: () = assert!(libc::SIG_DFL == 0);

/// What there is to know of a fault.
///
/// # Safety
/// - The system has passed both, on a fault.
unsafe fn fault(info: *mut libc::siginfo_t, context: *mut c_void) -> Fault {
    // SAFETY: of a fault, the address is known.
    let address = unsafe { (*info).si_addr() }.addr();
    // SAFETY: passed by the system.
    let context = unsafe { &(*context.cast::<libc::ucontext_t>()).uc_mcontext };
    #[cfg(target_arch = "x86_64")]
    let fault = {
        let register = |nth: c_int| context.gregs[nth as usize] as usize;
        // Bit 1 of a page fault's error code is set where it was a write.
        let is_write = Some(register(libc::REG_ERR) & 2 != 0);
        let [code, frame, stack] = [libc::REG_RIP, libc::REG_RBP, libc::REG_RSP].map(register);
        Fault { address, is_write, code, frame, stack }
    };
    #[cfg(target_arch = "aarch64")]
    let fault = Fault {
        address,
        is_write: None,
        code: context.pc as usize,
        frame: context.regs[29] as usize,
        stack: context.sp as usize,
    };
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let fault = {
        let _ = context;
        Fault { address, is_write: None, code: 0, frame: 0, stack: 0 }
    };
    fault
}

#[cfg(all(test, not(loom), not(miri)))]
mod tests {
    use super::*;

    /// As another thread might that gets the memory for itself.
    fn makes_accessible(fault: &Fault) -> bool {
        let page = ptr::without_provenance_mut(fault.address & !4095);
        // SAFETY: the test's own page.
        unsafe { libc::mprotect(page, 4096, libc::PROT_READ | libc::PROT_WRITE) == 0 }
    }

    #[test]
    fn the_signal_ends_the_process_though_the_memory_can_be_accessed_by_then() {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a mapping of its own.
        let page = unsafe { libc::mmap(ptr::null_mut(), 4096, libc::PROT_NONE, flags, -1, 0) };
        assert_ne!(page, libc::MAP_FAILED);
        // SAFETY: the child does only what a child of many threads may do.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let no_core = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
            // SAFETY: a valid limit.
            unsafe { libc::setrlimit(libc::RLIMIT_CORE, &no_core) };
            let is_installed = on_fault(makes_accessible) && on_fault(makes_accessible);
            // SAFETY: none. The process ends here.
            unsafe { page.cast::<u8>().write_volatile(1) };
            // SAFETY: no preconditions.
            unsafe { libc::_exit(is_installed.into()) };
        }
        let mut status = 0;
        // SAFETY: the child from above, and a valid place for its status.
        assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
        assert!(libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGSEGV, "{status:#x}");
        // SAFETY: mapped above.
        unsafe { libc::munmap(page, 4096) };
    }
}
