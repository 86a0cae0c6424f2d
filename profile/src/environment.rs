//! The environment: what `TENURE_PROFILE` says.

use crate::format::Format;
use std::ffi::OsStr;
use std::fmt::{self, Display, Formatter};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process;
use tenure::preloaded;
use tenure::profile::split_setting;

/// A profile that is to be written at the end of the process, and on a signal: `FILE[:RATE]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Where to. `%p` stands for the id of the process that writes.
    pub file: PathBuf,
    /// Bytes from one sample to the next, on average.
    pub rate: usize,
}

impl Setting {
    /// The name of the file, with the id of the process that asks: a forked child has its parent's setting. That of a
    /// dump with a number has it before the end that says in what form it is, as in `heap.0001.svg`. `None` where it is
    /// too long. Allocates nothing.
    pub(crate) fn name(&self, number: Option<u32>) -> Option<preloaded::Path> {
        let mut name = preloaded::Path::NONE;
        let end = Format::of(&self.file).map_or("", Format::end).as_bytes();
        name.push_numbered(process::id(), self.file.as_os_str().as_bytes(), end, number)?;
        Some(name)
    }
}

/// What is wrong with a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum WrongSetting {
    /// The file's name does not say in which form.
    Name,
    /// The rate is none.
    Rate,
}

impl Display for WrongSetting {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "the file's name must end in .pb.gz, .folded or .svg",
            Self::Rate => "the rate must be from 1 byte to a tebibyte",
        })
    }
}

impl std::error::Error for WrongSetting {}

impl Setting {
    /// Understands `FILE[:RATE]`. What follows the last colon is the rate where it is a number, such as `65536` or
    /// `64K`.
    ///
    /// ```
    /// use tenure_profile::Setting;
    ///
    /// let setting = Setting::parse("heap.svg:4096")?;
    /// assert_eq!((setting.file.to_str(), setting.rate), (Some("heap.svg"), 4096));
    /// # Ok::<(), tenure_profile::WrongSetting>(())
    /// ```
    ///
    /// # Errors
    ///
    /// See [`WrongSetting`].
    pub fn parse(text: impl AsRef<OsStr>) -> Result<Self, WrongSetting> {
        let (file, rate) = split_setting(text.as_ref().as_bytes()).ok_or(WrongSetting::Rate)?;
        let file = PathBuf::from(OsStr::from_bytes(file));
        Format::of(&file).ok_or(WrongSetting::Name)?;
        Ok(Self { file, rate })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tenure::profile::DEFAULT_RATE;

    #[test]
    fn a_colon_belongs_to_the_name_unless_digits_follow() {
        let parsed = |text| Setting::parse(text).map(|setting| (setting.file.display().to_string(), setting.rate));
        assert_eq!(parsed("a.svg"), Ok(("a.svg".into(), DEFAULT_RATE)));
        assert_eq!(parsed("/x:y/a.folded:1"), Ok(("/x:y/a.folded".into(), 1)));
        assert_eq!(parsed("x:y/a.pb.gz"), Ok(("x:y/a.pb.gz".into(), DEFAULT_RATE)));
        assert_eq!(parsed("%p.svg"), Ok(("%p.svg".into(), DEFAULT_RATE)));
    }

    #[test]
    fn a_name_may_be_in_any_encoding() {
        let setting = Setting::parse(OsStr::from_bytes(b"/x\xff/\xff.svg:8")).unwrap();
        assert_eq!((setting.file.as_os_str().as_bytes(), setting.rate), (&b"/x\xff/\xff.svg"[..], 8));
    }

    #[test]
    fn dumps_are_numbered_before_the_end_of_the_name() {
        let name = |text, number| {
            let name = Setting::parse(text).unwrap().name(number).unwrap();
            String::from_utf8(name.get().unwrap().to_vec()).unwrap()
        };
        assert_eq!(name("/x/a.pb.gz:8", Some(1)), "/x/a.0001.pb.gz");
        assert_eq!(name("a.b.svg", Some(12345)), "a.b.12345.svg");
        assert_eq!(name("a.folded", None), "a.folded");
        let id = process::id();
        assert_eq!(name("/%p/%p-%.svg", Some(7)), format!("/{id}/{id}-%.0007.svg"));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for (text, wrong) in [
            ("a.txt", WrongSetting::Name),
            ("", WrongSetting::Name),
            ("a.svg:x", WrongSetting::Name),
            ("a.svg:", WrongSetting::Rate),
            ("a.svg:0", WrongSetting::Rate),
            ("a.svg:99999999999999999999999", WrongSetting::Rate),
            ("a.svg:1099511627777", WrongSetting::Rate),
        ] {
            assert_eq!(Setting::parse(text), Err(wrong), "{text}");
        }
    }
}
