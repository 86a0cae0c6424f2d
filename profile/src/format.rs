//! Format: how a profile is written to a file, by the file's name.

use crate::atomically;
use crate::profile::{Profile, Value};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// In which form a profile is written to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// `profile.proto`, gzipped: `.pb.gz`.
    Pprof,
    /// Folded stacks: `.folded`.
    Folded,
    /// A flame graph: `.svg`.
    FlameGraph,
}

impl Format {
    /// The format that the end of a file's name stands for.
    ///
    /// ```
    /// use tenure_profile::Format;
    ///
    /// assert_eq!(Format::of("heap.pb.gz".as_ref()), Some(Format::Pprof));
    /// assert_eq!(Format::of("heap.txt".as_ref()), None);
    /// ```
    pub fn of(file: &Path) -> Option<Self> {
        let name = file.as_os_str().as_bytes();
        [Self::Pprof, Self::Folded, Self::FlameGraph].into_iter().find(|format| name.ends_with(format.end().as_bytes()))
    }

    /// How the names of such files end.
    pub(crate) fn end(self) -> &'static str {
        match self {
            Self::Pprof => ".pb.gz",
            Self::Folded => ".folded",
            Self::FlameGraph => ".svg",
        }
    }
}

impl Profile {
    /// Writes the profile to a file, in the form that the end of its name stands for. Folded stacks and flame graphs
    /// are of `value`.
    ///
    /// The file is written beside its place and moved there, so it is never there by half.
    ///
    /// # Errors
    ///
    /// Those of the system; [`io::ErrorKind::InvalidInput`] where the name has no end that stands for a form.
    pub fn save(&self, file: &Path, value: Value) -> io::Result<()> {
        let format = Format::of(file).ok_or_else(|| {
            let message = "the file's name must end in .pb.gz, .folded or .svg";
            io::Error::new(io::ErrorKind::InvalidInput, message)
        })?;
        tenure::profile::unsampled(|| {
            atomically::write(file, |writer| match format {
                Format::Pprof => self.write_pprof(writer),
                Format::Folded => self.write_folded(value, writer),
                Format::FlameGraph => self.write_flamegraph(value, writer),
            })
        })
    }
}
