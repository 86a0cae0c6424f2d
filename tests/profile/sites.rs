//! Call sites with addresses of their own, and what a profile says came from them.

use std::alloc::{Layout, alloc};
use std::hint::black_box;
use tenure::profile::{self, Options, Stack, Unwinder};

/// What came from one call site, and what of it is still in use.
#[derive(Clone, Copy, Default, PartialEq, Debug)]
pub struct Sums {
    pub blocks: f64,
    pub bytes: f64,
    pub live_blocks: f64,
    pub live_bytes: f64,
}

/// A function that allocates, in a copy for each site, so that each has an address of its own.
pub type Site = fn(Layout) -> *mut u8;

macro_rules! sites {
    ($($number:literal)*) => {
        [$({
            #[inline(never)]
            fn site(layout: Layout) -> *mut u8 {
                black_box($number);
                // SAFETY: no layout of the test has a size of zero.
                let block = unsafe { alloc(layout) };
                // Not a jump: the function has to be found on the stack.
                black_box(block)
            }
            site as Site
        }),*]
    };
}

pub static SITES: [Site; 20] = sites!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19);

/// The site whose code an address is in, if it is one's: they are short.
fn site_of(frames: &[usize]) -> Option<usize> {
    frames.iter().find_map(|&frame| {
        let nearest = (0..SITES.len()).filter(|&nth| SITES[nth] as usize <= frame);
        nearest.max_by_key(|&nth| SITES[nth] as usize).filter(|&nth| frame - (SITES[nth] as usize) < 256)
    })
}

impl Sums {
    fn add(&mut self, stack: &Stack<'_>) {
        self.blocks += stack.blocks as f64;
        self.bytes += stack.bytes as f64;
        self.live_blocks += stack.live_blocks as f64;
        self.live_bytes += stack.live_bytes as f64;
    }
}

/// What came from all call stacks together.
pub fn everything() -> Sums {
    let mut sums = Sums::default();
    profile::each_stack(|stack| sums.add(stack));
    sums
}

/// What came from each site.
pub fn estimates() -> Vec<Sums> {
    let mut sums = vec![Sums::default(); SITES.len()];
    profile::each_stack(|stack| {
        if let Some(site) = site_of(stack.frames) {
            sums[site].add(stack);
        }
    });
    sums
}

pub fn arm(rate: usize, seed: u64) {
    profile::arm_with(Options { rate, unwinder: Unwinder::Tables, seed: Some(seed) })
        .expect("the profile can be armed");
}

/// How far an estimate is from what is true, as a part of that.
pub fn error(estimate: f64, truth: f64) -> f64 {
    (estimate / truth - 1.0).abs()
}
