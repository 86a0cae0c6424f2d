//! Modules: which files code was loaded from, as `/proc/self/maps` tells. Read by system calls, as the loader's own
//! list is behind its lock.

use super::io::File;
use crate::os::{Modules, is_readable};
use core::ptr;

/// Bytes of a line that are looked at: the numbers, and a name of up to 400 bytes or so.
const LINE: usize = 512;

/// Bytes that are read at a time.
const READ: usize = 1024;

/// A mapping of a file.
#[derive(Clone, Copy)]
struct Line<'a> {
    start: usize,
    end: usize,
    /// Where in the file it begins.
    offset: usize,
    /// What tells the file from others.
    file: (usize, usize),
    name: &'a [u8],
}

/// Looks for the files of `frames`, which are return addresses.
pub(crate) fn modules_of(frames: &[usize], modules: &mut Modules) {
    let mut image = None;
    each_line(&mut |text| {
        let Some(line) = parse(text) else { return };
        if line.offset == 0 {
            image = Some((line.file, base(line.start)));
        }
        for (nth, frame) in frames.iter().enumerate() {
            let address = frame.saturating_sub(1);
            if (line.start..line.end).contains(&address) {
                let offset = match image {
                    Some((file, base)) if file == line.file => address - base,
                    _ => address - line.start + line.offset,
                };
                modules.add(nth, line.name, offset);
            }
        }
    });
}

/// What is to be taken off an address of the image at `start`, so as to be an address in its file: where it was loaded
/// to, or nothing where it is always loaded to the same place.
fn base(start: usize) -> usize {
    /// Where an ELF file says what kind it is, and the kind that has fixed addresses.
    const KIND: usize = 16;
    const FIXED: u16 = 2;
    if !is_readable(start + KIND) {
        return start;
    }
    // SAFETY: can be read, as the system has just said. Not text for the compiler to reckon with, but what the system
    // has mapped.
    let kind = unsafe { ptr::with_exposed_provenance::<u16>(start + KIND).read_volatile() };
    if kind == FIXED { 0 } else { start }
}

/// Passes each line of the list to `each`, without its end where it is very long.
fn each_line(each: &mut dyn FnMut(&[u8])) {
    let Ok(file) = File::read_only(c"/proc/self/maps") else { return };
    let (mut line, mut len) = ([0; LINE], 0);
    let mut bytes = [0; READ];
    while let Ok(count @ 1..) = file.read(&mut bytes) {
        for &byte in &bytes[..count] {
            if byte == b'\n' {
                each(&line[..len.min(LINE)]);
                len = 0;
            } else {
                if let Some(place) = line.get_mut(len) {
                    *place = byte;
                }
                len += 1;
            }
        }
    }
}

/// `start-end rights offset major:minor inode   /name`; `None` where it is no file's.
fn parse(text: &[u8]) -> Option<Line<'_>> {
    if text.len() == LINE {
        // The name is not whole.
        return None;
    }
    let mut words = text.splitn(6, |&byte| byte == b' ');
    let (start, end) = pair(words.next()?, b'-')?;
    words.next()?;
    let offset = hexadecimal(words.next()?)?;
    let (major, minor) = pair(words.next()?, b':')?;
    let inode = core::str::from_utf8(words.next()?).ok()?.parse().ok()?;
    let name = words.next()?.trim_ascii_start();
    name.starts_with(b"/").then_some(Line { start, end, offset, file: (major << 32 | minor, inode), name })
}

fn pair(text: &[u8], between: u8) -> Option<(usize, usize)> {
    let split = text.iter().position(|&byte| byte == between)?;
    Some((hexadecimal(&text[..split])?, hexadecimal(&text[split + 1..])?))
}

fn hexadecimal(text: &[u8]) -> Option<usize> {
    usize::from_str_radix(core::str::from_utf8(text).ok()?, 16).ok()
}

#[cfg(all(test, not(loom), not(miri)))]
mod tests {
    use super::*;

    #[test]
    fn lines_of_files_are_understood_and_others_are_passed_over() {
        let line =
            parse(b"55d0c0de1000-55d0c0df2000 r-xp 00001000 fe:01 123456                     /usr/bin/a b").unwrap();
        assert_eq!((line.start, line.end, line.offset), (0x55d0_c0de_1000, 0x55d0_c0df_2000, 0x1000));
        assert_eq!((line.file, line.name), ((0xfe << 32 | 1, 123_456), &b"/usr/bin/a b"[..]));
        let others: [&[u8]; 5] = [
            b"7ffd1b2e7000-7ffd1b308000 rw-p 00000000 00:00 0                          [stack]",
            b"7f1c7e000000-7f1c7e021000 rw-p 00000000 00:00 0 ",
            b"7f1c7e000000 rw-p",
            b"",
            &[b'0'; LINE],
        ];
        assert!(others.iter().all(|text| parse(text).is_none()));
    }

    #[test]
    fn every_line_of_this_process_comes_whole() {
        let known = std::fs::read_to_string("/proc/self/maps").unwrap();
        let mut lines = 0;
        each_line(&mut |_| lines += 1);
        assert!(known.lines().count().abs_diff(lines) <= known.lines().count() / 2, "{lines}");
    }
}
