//! What glibc lets programs ask and set: answered from the statistics, as far as the questions make sense here.

use crate::TENURE;
use crate::output::print;
use crate::snapshot::{with_own_stats, with_stats};
use core::ffi::{c_char, c_int};
use core::fmt::{self, Write};
use tenure::Stats;

/// The figures of `mallinfo`, before they are made to fit.
struct Info {
    in_heaps: usize,
    free_blocks: usize,
    mappings: usize,
    mapped: usize,
    in_use: usize,
    free: usize,
    retained: usize,
}

impl Info {
    fn take() -> Self {
        with_stats(|stats| Self::of(stats))
    }

    fn of(stats: &Stats) -> Self {
        let mapped = stats.balance.live_mappings;
        let in_heaps = stats.committed.saturating_sub(mapped);
        let in_use = stats.live_bytes().saturating_sub(mapped);
        Self {
            in_heaps,
            free_blocks: stats.classes.iter().map(|class| class.free + class.in_magazines + class.in_outboxes).sum(),
            mappings: stats.mappings,
            mapped,
            in_use,
            free: in_heaps.saturating_sub(in_use),
            retained: stats.balance.retained(),
        }
    }
}

/// The figures of the process, as `size_t`.
#[unsafe(no_mangle)]
pub extern "C" fn mallinfo2() -> libc::mallinfo2 {
    let info = Info::take();
    libc::mallinfo2 {
        arena: info.in_heaps,
        ordblks: info.free_blocks,
        smblks: 0,
        hblks: info.mappings,
        hblkhd: info.mapped,
        usmblks: 0,
        fsmblks: 0,
        uordblks: info.in_use,
        fordblks: info.free,
        keepcost: info.retained,
    }
}

/// As [`mallinfo2`], in the `int`s of old: what does not fit is `INT_MAX`.
#[unsafe(no_mangle)]
pub extern "C" fn mallinfo() -> libc::mallinfo {
    let info = Info::take();
    let fit = |figure: usize| c_int::try_from(figure).unwrap_or(c_int::MAX);
    libc::mallinfo {
        arena: fit(info.in_heaps),
        ordblks: fit(info.free_blocks),
        smblks: 0,
        hblks: fit(info.mappings),
        hblkhd: fit(info.mapped),
        usmblks: 0,
        fsmblks: 0,
        uordblks: fit(info.in_use),
        fordblks: fit(info.free),
        keepcost: fit(info.retained),
    }
}

/// Gives unused memory back to the system, whatever `pad` says; 1 where that was any, 0 otherwise.
#[unsafe(no_mangle)]
pub extern "C" fn malloc_trim(_pad: usize) -> c_int {
    c_int::from(TENURE.purge() > 0)
}

/// Writes the statistics to standard error.
#[unsafe(no_mangle)]
pub extern "C" fn malloc_stats() {
    // A standard error that is closed is no reason to stop.
    let _ = print(libc::STDERR_FILENO, &mut [0; 1024], |out| with_own_stats(|stats| write!(out, "{stats}")));
}

/// The parameters that glibc has: from `M_ARENA_MAX` to `M_TRIM_THRESHOLD`, and `M_MXFAST`.
const PARAMETERS: [c_int; 9] = [-8, -7, -6, -5, -4, -3, -2, -1, 1];

/// Accepts what glibc accepts, and changes nothing: 1 for a parameter that there is, 0 otherwise.
#[unsafe(no_mangle)]
pub extern "C" fn mallopt(parameter: c_int, _value: c_int) -> c_int {
    c_int::from(PARAMETERS.contains(&parameter))
}

/// A stream of the C library's, which buffers by itself.
struct Stream(*mut libc::FILE);

impl Write for Stream {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // SAFETY: the caller's stream, and a valid text.
        let written = unsafe { libc::fwrite(text.as_ptr().cast::<c_char>().cast(), 1, text.len(), self.0) };
        if written == text.len() { Ok(()) } else { Err(fmt::Error) }
    }
}

/// Writes the figures as XML to `stream` and returns 0. `EINVAL` where `options` is not 0, and -1 where the stream
/// fails.
///
/// # Safety
/// - `stream` is an open stream of the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn malloc_info(options: c_int, stream: *mut libc::FILE) -> c_int {
    if options != 0 {
        return libc::EINVAL;
    }
    // Taken before the stream allocates a buffer.
    match with_own_stats(|stats| write_xml(stats, &mut Stream(stream))) {
        Ok(()) => 0,
        Err(fmt::Error) => -1,
    }
}

fn write_xml(stats: &Stats, out: &mut dyn Write) -> fmt::Result {
    writeln!(out, "<malloc version=\"tenure-1\">\n<sizes>")?;
    for class in stats.classes.iter().filter(|class| class.slabs > 0) {
        let (size, live, free) = (class.block_size, class.live, class.free + class.in_magazines + class.in_outboxes);
        writeln!(out, "<size bytes=\"{size}\" slabs=\"{}\" live=\"{live}\" free=\"{free}\"/>", class.slabs)?;
    }
    writeln!(out, "</sizes>")?;
    writeln!(out, "<total type=\"live\" count=\"{}\" size=\"{}\"/>", stats.live_blocks(), stats.live_bytes())?;
    writeln!(out, "<total type=\"span\" count=\"{}\" size=\"{}\"/>", stats.spans, stats.balance.live_spans)?;
    writeln!(out, "<total type=\"mmap\" count=\"{}\" size=\"{}\"/>", stats.mappings, stats.balance.live_mappings)?;
    writeln!(out, "<system type=\"current\" size=\"{}\"/>", stats.committed)?;
    writeln!(out, "<system type=\"max\" size=\"{}\"/>", stats.peak_committed)?;
    writeln!(out, "<aspace type=\"total\" size=\"{}\"/>\n</malloc>", stats.reserved)
}
