//! Jobs that several threads share.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Runs `job` for every number below `jobs`, on `threads` threads each of which takes the next number when it has done
/// one. Returns the sum of the results, which does not depend on who did what.
pub fn sum_of_jobs(threads: usize, jobs: usize, job: impl Fn(usize) -> u64 + Sync) -> u64 {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut sum = 0u64;
        loop {
            // The number is all that is shared; results are handed over by `join`.
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= jobs {
                return sum;
            }
            sum = sum.wrapping_add(job(number));
        }
    };
    thread::scope(|scope| {
        let crew: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        crew.into_iter().map(|member| member.join().expect("a job does not panic")).fold(0, u64::wrapping_add)
    })
}
