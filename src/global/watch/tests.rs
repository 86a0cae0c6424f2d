//! A process that wants its threads watched. Other tests of this binary run meanwhile, and are watched with it.

use super::super::routing::Routing;
use super::super::{Tenure, tls};
use super::want;
use core::alloc::{GlobalAlloc, Layout};
use std::sync::mpsc;
use std::thread;

/// Takes the way to a mapping, which is a slow path.
fn take_a_slow_path() {
    let layout = Layout::from_size_align(4 << 20, 8).unwrap();
    // SAFETY: a layout of a size that is not zero.
    let block = unsafe { Tenure::new().alloc(layout) };
    // SAFETY: allocated just now.
    unsafe { Tenure::new().dealloc(block, layout) };
}

fn is_watched() -> bool {
    tls::routing().is_watched_for(Routing::SAMPLED)
}

#[test]
fn threads_heed_what_the_process_wants_at_their_next_slow_path_and_keep_their_magazines() {
    let (ask, asked) = mpsc::channel::<()>();
    let (tell, told) = mpsc::channel();
    let other = thread::spawn(move || {
        while asked.recv().is_ok() {
            take_a_slow_path();
            tell.send(is_watched()).unwrap();
        }
    });
    let other_was = || {
        ask.send(()).unwrap();
        told.recv().unwrap()
    };
    other_was();
    let kept = std::boxed::Box::new(7);
    for _ in 0..3 {
        assert!(!is_watched());
        want(Routing::SAMPLED, true);
        assert!(is_watched(), "the calling thread heeds it at once");
        assert!(other_was());
        drop(std::boxed::Box::new(8));
        want(Routing::SAMPLED, false);
        assert!(!is_watched());
        assert!(!other_was());
    }
    assert_eq!(*kept, 7);
    drop(ask);
    other.join().unwrap();
}
