//! The tables that serve exceptions: where a function's caller is, by what a program and its libraries say of their own
//! code.
//!
//! glibc finds the tables of an address without a lock, and gimli reads them without memory. What is found is worth
//! keeping: it takes a microsecond.

use crate::os::rule::{Registers, Rule, Step};
use crate::sync::plain::{AtomicUsize, Ordering};
use core::ffi::{c_int, c_void};
use core::mem::MaybeUninit;
use core::{ptr, slice};
use gimli::{BaseAddresses, CfaRule, EhFrame, EhFrameHdr, NativeEndian, RegisterRule, UnwindSection, X86_64};

/// What glibc says of the code at an address: `struct dl_find_object`.
#[repr(C)]
struct Found {
    flags: u64,
    start: *mut c_void,
    end: *mut c_void,
    link_map: *mut c_void,
    tables: *mut c_void,
    reserved: [u64; 7],
}

type Find = unsafe extern "C" fn(*mut c_void, *mut Found) -> c_int;

/// glibc's `_dl_find_object`; 0 until it is known.
static FIND: AtomicUsize = AtomicUsize::new(0);

/// `find` is glibc's `_dl_find_object`.
pub(super) fn use_find(find: *mut c_void) {
    FIND.store(find.expose_provenance(), Ordering::Relaxed);
}

/// A program or a library that is loaded.
#[derive(Clone, Copy)]
pub(crate) struct Module {
    start: usize,
    end: usize,
    /// Where its table of functions is: `.eh_frame_hdr`.
    pub(crate) tables: usize,
}

impl Module {
    /// None.
    pub(crate) const NONE: Self = Self { start: 0, end: 0, tables: 0 };

    pub(crate) fn contains(&self, address: usize) -> bool {
        (self.start..self.end).contains(&address)
    }

    /// Where the code at `address` is from, if it is from a module with tables.
    pub(crate) fn at(address: usize) -> Option<Self> {
        let find = ptr::with_exposed_provenance::<c_void>(FIND.load(Ordering::Relaxed));
        if find.is_null() {
            return None;
        }
        let mut found = MaybeUninit::<Found>::zeroed();
        // SAFETY: the function has this type, and looks at nothing but its own list of what is loaded. There is room
        // for the answer.
        let status = unsafe {
            core::mem::transmute::<*const c_void, Find>(find)(ptr::without_provenance_mut(address), found.as_mut_ptr())
        };
        // SAFETY: valid as zeros, whatever of it was written.
        let found = unsafe { found.assume_init() };
        let module =
            Self { start: found.start.addr(), end: found.end.addr(), tables: found.tables.expose_provenance() };
        (status == 0 && module.tables != 0).then_some(module)
    }

    /// The module's segments, and what their addresses count from; `None` where the module does not begin with its
    /// file's first page.
    fn segments(&self) -> Option<(Segments, usize)> {
        let header = ptr::with_exposed_provenance::<libc::Elf64_Ehdr>(self.start);
        // SAFETY: a module's first segment begins with the file's first page, which is readable; where it does not,
        // what is there is readable too, and no such header.
        let header = unsafe { header.read() };
        if !header.e_ident.starts_with(b"\x7fELF") || usize::from(header.e_phentsize) != size_of::<libc::Elf64_Phdr>() {
            return None;
        }
        let first = ptr::with_exposed_provenance(self.start + header.e_phoff as usize);
        // SAFETY: the header says so, and they follow it within the first segment.
        let segments: Segments = unsafe { slice::from_raw_parts(first, header.e_phnum.into()) };
        let lowest = segments.iter().find(|segment| segment.p_type == libc::PT_LOAD)?;
        Some((segments, self.start.wrapping_sub(lowest.p_vaddr as usize & !(PAGE - 1))))
    }

    /// What is loaded from `address` to the end of its segment; nothing where the module does not say so.
    fn bytes_from(&self, address: usize) -> Option<&'static [u8]> {
        let (segments, base) = self.segments().or_else(segments_of_program)?;
        for segment in segments.iter().filter(|segment| segment.p_type == libc::PT_LOAD) {
            let start = base.wrapping_add(segment.p_vaddr as usize);
            let end = start + segment.p_filesz as usize;
            if (start..end).contains(&address) && segment.p_flags & libc::PF_R != 0 {
                // SAFETY: loaded and readable, and nothing of it is written while code of the module is on the stack.
                return Some(unsafe { slice::from_raw_parts(ptr::with_exposed_provenance(address), end - address) });
            }
        }
        None
    }

    /// How the caller of the code at `address` is found.
    #[inline(never)]
    pub(crate) fn rule_at(&self, address: usize) -> Rule {
        self.look_up(address).unwrap_or(Rule::Unknown)
    }

    fn look_up(&self, address: usize) -> Option<Rule> {
        let functions = self.bytes_from(self.tables)?;
        let bases = BaseAddresses::default().set_eh_frame_hdr(self.tables as u64);
        let header = EhFrameHdr::new(functions, NativeEndian).parse(&bases, size_of::<usize>() as u8).ok()?;
        let frames = header.eh_frame_ptr().direct().ok()?;
        let bases = bases.set_eh_frame(frames);
        let section = EhFrame::new(self.bytes_from(frames as usize)?, NativeEndian);
        let function = header.table()?.fde_for_address(&section, &bases, address as u64, EhFrame::cie_from_offset);
        let function = match function {
            Ok(function) if function.is_signal_trampoline() => return None,
            Ok(function) => function,
            Err(gimli::Error::NoUnwindInfoForAddress) => return Some(Rule::End),
            Err(_) => return None,
        };
        let mut context = gimli::UnwindContext::<usize, Room>::new_in();
        let row = function.unwind_info_for_address(&section, &bases, &mut context, address as u64).ok()?;
        match row.register(X86_64::RA) {
            Some(RegisterRule::Offset(RETURN_ADDRESS)) => {}
            Some(RegisterRule::Undefined) => return Some(Rule::End),
            _ => return None,
        }
        let &CfaRule::RegisterAndOffset { register, offset } = row.cfa() else { return None };
        let from_frame_pointer = match register {
            X86_64::RSP => false,
            X86_64::RBP => true,
            _ => return None,
        };
        let frame_pointer_at = match row.register(X86_64::RBP) {
            None | Some(RegisterRule::SameValue | RegisterRule::Undefined) => 0,
            Some(RegisterRule::Offset(offset)) if offset < 0 => usize::try_from(-offset).ok()?,
            Some(_) => return None,
        };
        Some(Rule::Step(Step { from_frame_pointer, len: usize::try_from(offset).ok()?, frame_pointer_at }))
    }
}

type Segments = &'static [libc::Elf64_Phdr];

/// The program's own segments, and what their addresses count from, as the kernel has told. The kernel leaves gaps
/// between a program's segments where the file does: then glibc takes each for a module.
fn segments_of_program() -> Option<(Segments, usize)> {
    // SAFETY: reads what every process has.
    let [first, count, size] =
        [libc::AT_PHDR, libc::AT_PHNUM, libc::AT_PHENT].map(|kind| unsafe { libc::getauxval(kind) } as usize);
    if first == 0 || size != size_of::<libc::Elf64_Phdr>() {
        return None;
    }
    // SAFETY: the kernel says so, and never unmaps them.
    let segments: Segments = unsafe { slice::from_raw_parts(ptr::with_exposed_provenance(first), count) };
    let own = segments.iter().find(|segment| segment.p_type == libc::PT_PHDR)?;
    Some((segments, first.wrapping_sub(own.p_vaddr as usize)))
}

/// Least bytes of a page.
const PAGE: usize = 4096;

/// From the end of a frame to the return address.
const RETURN_ADDRESS: i64 = -(size_of::<usize>() as i64);

/// Room for what a function's table says: of no more registers than are kept for callers, and of one row that was set
/// aside.
struct Room;

impl gimli::UnwindContextStorage<usize> for Room {
    type Rules = [(gimli::Register, RegisterRule<usize>); 20];
    type Stack = [gimli::UnwindTableRow<usize, Self>; 3];
}

/// Where the calling function is.
#[inline(always)]
pub(crate) fn registers() -> Option<Registers> {
    let (code, stack, frame);
    // SAFETY: reads registers.
    unsafe {
        core::arch::asm!(
            "lea {code}, [rip]",
            "mov {stack}, rsp",
            "mov {frame}, rbp",
            code = out(reg) code,
            stack = out(reg) stack,
            frame = out(reg) frame,
            options(nomem, nostack, preserves_flags),
        );
    }
    Some(Registers { code, stack, frame })
}

#[cfg(all(test, not(loom), not(miri)))]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_the_program_that_does_not_begin_with_its_header_has_the_programs_rules() {
        if !crate::os::find_unwinder() {
            return;
        }
        let here = registers().unwrap().code;
        let whole = Module::at(here).unwrap();
        let part = Module { start: here & !(PAGE - 1), ..whole };
        assert!(part.segments().is_none(), "that is code");
        let rule = part.rule_at(here);
        assert!(matches!(rule, Rule::Step(_)), "{rule:?}");
        assert_eq!(rule, whole.rule_at(here));
    }
}
