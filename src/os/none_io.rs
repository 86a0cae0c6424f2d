//! Without a system there is nobody to report to: no environment, no files, no signals.

use core::ffi::{CStr, c_int};
use core::fmt::{self, Display, Formatter};
use core::time::Duration;

/// There is no system to say why.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failure;

impl Failure {
    pub(crate) fn number(self) -> c_int {
        0
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("there is no operating system")
    }
}

/// There is none.
pub(crate) fn environment(_each: &mut dyn FnMut(&[u8])) {}

/// There are no files.
pub(crate) struct File;

impl File {
    pub(crate) const fn borrowed(_descriptor: c_int) -> Self {
        Self
    }

    #[cfg(feature = "profile")]
    pub(crate) fn descriptor(&self) -> c_int {
        -1
    }

    pub(crate) fn append(_path: &CStr) -> Result<Self, Failure> {
        Err(Failure)
    }

    pub(crate) fn create(_path: &CStr) -> Result<Self, Failure> {
        Err(Failure)
    }

    pub(crate) fn create_new(_path: &CStr) -> Result<Self, Failure> {
        Err(Failure)
    }

    #[cfg(feature = "profile")]
    pub(crate) fn read_only(_path: &CStr) -> Result<Self, Failure> {
        Err(Failure)
    }

    #[cfg(feature = "profile")]
    pub(crate) fn read(&self, _bytes: &mut [u8]) -> Result<usize, Failure> {
        Err(Failure)
    }

    pub(crate) fn write(&self, _bytes: &[u8]) -> Result<usize, Failure> {
        Err(Failure)
    }

    pub(crate) fn len(&self) -> Option<u64> {
        None
    }

    pub(crate) fn cut(&self, _len: u64) {}
}

pub(crate) fn is_irregular(_path: &CStr) -> bool {
    false
}

pub(crate) fn read_link<'a>(_path: &CStr, _target: &'a mut [u8]) -> Option<&'a [u8]> {
    None
}

pub(crate) fn rename(_from: &CStr, _to: &CStr) -> Result<(), Failure> {
    Err(Failure)
}

pub(crate) fn remove(_path: &CStr) {}

pub(crate) struct KeptStderr;

impl KeptStderr {
    pub(crate) fn new() -> Option<Self> {
        None
    }

    pub(crate) fn get(&self) -> Option<File> {
        None
    }
}

#[cfg(feature = "profile")]
pub(crate) fn without_signals<R>(work: impl FnOnce() -> R) -> R {
    work()
}

pub(crate) fn without_cancellation<R>(work: impl FnOnce() -> R) -> R {
    work()
}

pub(crate) fn without_write_signals<R>(write: impl FnOnce() -> R) -> R {
    write()
}

pub(crate) fn at_exit(_hook: extern "C" fn()) -> bool {
    false
}

pub(crate) fn signal_named(_name: &[u8]) -> Option<c_int> {
    None
}

pub(crate) fn signal_numbered(_number: c_int) -> Option<c_int> {
    None
}

pub(crate) fn on_signal(_number: c_int, _hook: extern "C" fn(c_int)) -> bool {
    false
}

/// Nothing happens.
pub(crate) struct Event;

impl Event {
    pub(crate) const fn new() -> Self {
        Self
    }

    pub(crate) fn count(&self) -> u32 {
        0
    }

    pub(crate) fn post(&self) {}

    pub(crate) fn wait(&self, _seen: u32, _at_most: Duration) {}
}
