//! Faults that are none of a guarded block's: they go where they went before.

use crate::report;
use crate::sites::{At, announce, guarded, reads, writes};
use crate::support::seccomp::forbid;
use std::alloc::Layout;
use std::ptr;
use std::thread;
use tenure::guard;

fn bytes(size: usize) -> Layout {
    Layout::from_size_align(size, 1).unwrap()
}

/// Memory that may not be touched.
fn forbidden() -> *mut u8 {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a mapping of its own.
    let start = unsafe { libc::mmap(ptr::null_mut(), 4096, libc::PROT_NONE, flags, -1, 0) };
    assert_ne!(start, libc::MAP_FAILED);
    start.cast()
}

fn install(handler: usize, flags: libc::c_int) {
    // SAFETY: zeros are a valid action.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler;
    action.sa_flags = flags;
    for signal in [libc::SIGSEGV, libc::SIGBUS] {
        // SAFETY: a valid action.
        assert_eq!(unsafe { libc::sigaction(signal, &action, ptr::null_mut()) }, 0);
    }
}

extern "C" fn informed(_: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: passed by the system.
    let is_fault = unsafe { (*info).si_code } > 0 && !context.is_null();
    // SAFETY: no preconditions.
    unsafe { libc::_exit(if is_fault { 41 } else { 42 }) };
}

extern "C" fn uninformed(_: libc::c_int) {
    // SAFETY: no preconditions.
    unsafe { libc::_exit(43) };
}

#[test]
fn a_crash_elsewhere_ends_the_process_as_it_would_without_guards() {
    let body = |&is_default: &bool| {
        if is_default {
            install(libc::SIG_DFL, 0);
        }
        guarded(bytes(49), At::End);
        writes(forbidden());
    };
    report::of_each(&[false, true], body, |_, report| report.assert_silent(libc::SIGSEGV));
}

#[test]
fn a_signal_that_another_sends_does_what_it_would_without_guards() {
    let body = |&(action, signal): &(usize, libc::c_int)| {
        install(action, 0);
        guarded(bytes(49), At::End);
        // SAFETY: no preconditions.
        unsafe { libc::raise(signal) };
    };
    report::of_each(
        &[(libc::SIG_IGN, libc::SIGSEGV), (libc::SIG_DFL, libc::SIGBUS)],
        body,
        |&(action, signal), report| {
            if action == libc::SIG_DFL {
                return report.assert_silent(signal);
            }
            assert_eq!((report.code, report.lines.len()), (Some(0), 0), "{}", report.all);
        },
    );
}

#[test]
fn the_handler_that_was_there_before_gets_the_faults_of_others() {
    let cases = [
        (informed as *const () as usize, libc::SA_SIGINFO | libc::SA_ONSTACK, 41),
        (uninformed as *const () as usize, 0, 43),
    ];
    let body = |&(handler, flags, _): &(usize, libc::c_int, i32)| {
        install(handler, flags);
        guarded(bytes(49), At::End);
        reads(forbidden());
    };
    report::of_each(&cases, body, |&(_, _, code), report| {
        assert_eq!((report.code, report.lines.len()), (Some(code), 0), "{}", report.all);
    });
}

#[test]
fn the_handler_that_was_there_before_does_not_keep_a_process_alive_that_misuses_a_block() {
    let report = report::of(|| {
        install(informed as *const () as usize, libc::SA_SIGINFO);
        let block = guarded(bytes(49), At::End);
        announce(block);
        writes(block.wrapping_add(49));
    });
    report.assert_says(libc::SIGSEGV, &["buffer overflow: "]);
}

#[test]
fn where_the_system_refuses_a_handler_nothing_is_armed_until_it_does_not() {
    let report = report::of(|| {
        let forbidden = thread::spawn(|| {
            forbid(&[libc::SYS_rt_sigaction]);
            for _ in 0..3 {
                assert_eq!(guard::arm(1), Err(guard::CannotArm::NoHandler));
                assert_eq!(guard::one_in(), None);
            }
        });
        forbidden.join().unwrap();
        let block = guarded(bytes(49), At::End);
        announce(block);
        writes(block.wrapping_add(49));
    });
    report.assert_says(libc::SIGSEGV, &["buffer overflow: "]);
}

#[test]
fn a_system_call_that_is_given_a_freed_block_fails_and_the_process_goes_on() {
    let report = report::of(|| {
        let block = guarded(bytes(49), At::End);
        crate::sites::frees(block, bytes(49));
        // SAFETY: the system looks at the address and finds that it must not.
        let written = unsafe { libc::write(libc::STDOUT_FILENO, block.cast(), 49) };
        assert_eq!((written, std::io::Error::last_os_error().raw_os_error()), (-1, Some(libc::EFAULT)));
        guard::disarm();
    });
    assert_eq!((report.code, report.lines.len()), (Some(0), 0), "{}", report.all);
}
