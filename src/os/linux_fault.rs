//! Faults: a handler for accesses to memory that may not be accessed so, which stands before the one that was there.
//!
//! Everything here runs in a signal handler, perhaps on a stack of a few kilobytes: nothing allocates, waits or takes a
//! lock, and what needs room gets [another stack](super::room).

use super::KeepErrno;
use crate::os::Fault;
use crate::sync::UnsafeCell;
use crate::sync::plain::{AtomicBool, AtomicUsize, Ordering};
use core::ffi::{c_int, c_void};
use core::mem::{self, MaybeUninit};
use core::ptr;

/// What was to be done on a signal before.
struct Before(UnsafeCell<MaybeUninit<libc::sigaction>>);

// SAFETY: written by the one thread that installs the handler, before it does; read by the handler alone.
unsafe impl Sync for Before {}

impl Before {
    const fn unknown() -> Self {
        Self(UnsafeCell::new(MaybeUninit::uninit()))
    }

    /// # Safety
    /// - The handler is installed for the signal.
    unsafe fn get(&self) -> libc::sigaction {
        // SAFETY: written before the handler was installed.
        unsafe { (*self.0.get()).assume_init() }
    }
}

/// The signals of faults, and what was to be done on each.
static BEFORE: [(c_int, Before); 2] = [(libc::SIGSEGV, Before::unknown()), (libc::SIGBUS, Before::unknown())];

/// The hook's address.
static HOOK: AtomicUsize = AtomicUsize::new(0);

type Hook = fn(&Fault) -> bool;

/// Has `hook` called on every fault of the process from now on; true from it means that the fault is told of, and the
/// process is to end by the signal. All others go to the handler that was there before, if there was one. False where
/// the system refuses. Every call in a process passes the same hook.
///
/// The hook may do only what is safe in a signal handler.
pub(crate) fn on_fault(hook: Hook) -> bool {
    static IS_INSTALLED: AtomicBool = AtomicBool::new(false);
    let _errno = KeepErrno::new();
    HOOK.store(hook as *const () as usize, Ordering::Relaxed);
    IS_INSTALLED.swap(true, Ordering::Relaxed) || BEFORE.iter().all(|(number, before)| install(*number, before))
}

fn install(number: c_int, before: &Before) -> bool {
    // SAFETY: the first thread that comes here, alone, and the handler is not installed yet.
    let known = unsafe { &mut *before.0.get() };
    // SAFETY: a valid place for the answer.
    if unsafe { libc::sigaction(number, ptr::null(), known.as_mut_ptr()) } != 0 {
        return false;
    }
    // SAFETY: filled in by the successful call.
    let known = unsafe { known.assume_init_ref() };
    // SAFETY: zeros are a valid action.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    action.sa_sigaction = handle as *const () as usize;
    // What the handler before this one counts on.
    action.sa_mask = known.sa_mask;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | known.sa_flags & (libc::SA_NODEFER | libc::SA_RESTART);
    // SAFETY: a valid action.
    unsafe { libc::sigaction(number, &action, ptr::null_mut()) == 0 }
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
        // The access is tried again, and ends the process.
        return reset(number);
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
