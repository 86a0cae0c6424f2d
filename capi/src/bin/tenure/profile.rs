//! Heap profiles: from the library's text to the forms that people and programs read.

use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;

use tenure_profile::{Profile, Value};

use crate::failure::Failure;
use crate::options;

/// Writes a profile as the options say.
pub fn write(wanted: &options::Profile) -> Result<(), Failure> {
    let unreadable = |why: String| Failure::ProfileUnreadable(wanted.text.clone(), why);
    let text = read(&wanted.text).map_err(|error| unreadable(format!("cannot be read: {error}")))?;
    let profile = Profile::parse(&text).map_err(|error| unreadable(error.to_string()))?;
    let saved = wanted.output.as_ref().map_or(Ok(()), |file| {
        let saved = profile.save(file, value(wanted.value));
        saved.map_err(|error| Failure::ProfileUnwritable(file.clone(), error))
    });
    if wanted.leaks || wanted.output.is_none() {
        // A standard error that is closed is no reason to fail.
        let _ = write!(io::stderr(), "tenure: {}", profile.leaks());
    }
    saved
}

/// The whole text, of which file names may be in any encoding.
fn read(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        io::stdin().lock().read_to_end(&mut bytes)?;
    } else {
        bytes = fs::read(path)?;
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn value(value: options::Value) -> Value {
    match value {
        options::Value::LiveBytes => Value::LiveBytes,
        options::Value::LiveBlocks => Value::LiveBlocks,
        options::Value::Bytes => Value::Bytes,
        options::Value::Blocks => Value::Blocks,
    }
}
