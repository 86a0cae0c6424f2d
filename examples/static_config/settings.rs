//! The configuration, as it stands in the file.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    pub title: String,
    pub service: Service,
    pub words: Words,
    /// Other spelling, and the one that is looked up.
    pub spellings: BTreeMap<String, String>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    pub threads: u8,
    /// Look-ups that each thread serves.
    pub lookups: u32,
}

/// Which words are kept, by their length in bytes.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Words {
    pub shortest: usize,
    pub longest: usize,
}

impl Settings {
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = fs::read_to_string(path).map_err(|error| format!("cannot read {path:?}: {error}"))?;
        let settings: Self = toml::from_str(&text).map_err(|error| format!("{path:?} is no configuration: {error}"))?;
        if settings.service.threads == 0 {
            return Err(format!("{path:?}: at least one thread is needed"));
        }
        Ok(settings)
    }
}
