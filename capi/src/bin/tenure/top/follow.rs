//! Follower: reads what is appended to a file, and notices when the file is not what it was.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use crate::series::{Snapshot, snapshot_of, without_mark};

/// Of a longer file only the end is read at first.
const TAIL: u64 = 4 * 1024 * 1024;

/// What a look at the file brings.
#[derive(Debug)]
pub enum News {
    Snapshot(Box<Snapshot>),
    /// The file has become shorter; it is read from its beginning.
    Truncated,
    /// There is another file of that name, which is read instead.
    Replaced,
    /// There is a line that is no snapshot, and this is why.
    Malformed(String),
    /// There is no file of that name, or it cannot be read.
    Unreadable(io::Error),
}

/// A file that is open, and how far it was read.
struct Opened {
    file: File,
    /// Device and number of the file.
    identity: (u64, u64),
    offset: u64,
    /// True until the end of a line that was begun before `offset` has passed.
    skips: bool,
}

/// See the module.
pub struct Follower {
    path: PathBuf,
    opened: Option<Opened>,
    /// The beginning of a line whose end is not written yet.
    begun: Vec<u8>,
}

impl Follower {
    pub fn new(path: PathBuf) -> Self {
        Self { path, opened: None, begun: Vec::new() }
    }

    /// What is new since the last look.
    pub fn look(&mut self) -> Vec<News> {
        let mut news = Vec::new();
        if let Err(error) = self.read(&mut news) {
            self.opened = None;
            self.begun.clear();
            news.push(News::Unreadable(error));
        }
        news
    }

    fn read(&mut self, news: &mut Vec<News>) -> io::Result<()> {
        let meta = fs::metadata(&self.path)?;
        let identity = (meta.dev(), meta.ino());
        if self.opened.as_ref().is_some_and(|opened| opened.identity != identity) {
            news.push(News::Replaced);
            self.begun.clear();
            self.opened = None;
        }
        let mut opened = match self.opened.take() {
            Some(opened) => opened,
            None => {
                let offset = meta.len().saturating_sub(TAIL);
                Opened { file: File::open(&self.path)?, identity, offset, skips: offset > 0 }
            }
        };
        if meta.len() < opened.offset {
            news.push(News::Truncated);
            self.begun.clear();
            (opened.offset, opened.skips) = (0, false);
        }
        opened.file.seek(SeekFrom::Start(opened.offset))?;
        let mut text = Vec::new();
        opened.file.read_to_end(&mut text)?;
        let is_beginning = opened.offset == 0;
        opened.offset += text.len() as u64;
        let text = if is_beginning { without_mark(&text) } else { &text };
        for line in text.split_inclusive(|&byte| byte == b'\n') {
            if opened.skips {
                opened.skips = line.last() != Some(&b'\n');
                continue;
            }
            self.begun.extend_from_slice(line);
            if line.last() == Some(&b'\n') {
                news.extend(parse(&self.begun));
                self.begun.clear();
            }
        }
        self.opened = Some(opened);
        Ok(())
    }
}

/// What a line is; nothing for an empty one.
fn parse(line: &[u8]) -> Option<News> {
    if line.trim_ascii().is_empty() {
        return None;
    }
    let snapshot = serde_json::from_slice(line).map_err(|error| format!("no JSON: {error}")).and_then(snapshot_of);
    Some(snapshot.map_or_else(News::Malformed, |snapshot| News::Snapshot(Box::new(snapshot))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    /// A file that a test writes, removed when dropped.
    struct Written(PathBuf);

    impl Written {
        fn new(name: &str) -> Self {
            Self(std::env::temp_dir().join(format!("tenure-follow-{}-{name}", std::process::id())))
        }

        fn append(&self, text: &str) {
            let mut file = File::options().create(true).append(true).open(&self.0).unwrap();
            file.write_all(text.as_bytes()).unwrap();
        }
    }

    impl Drop for Written {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.0);
        }
    }

    fn snapshot() -> String {
        format!("{}\n", tenure::Tenure::new().stats().json())
    }

    /// A letter for each piece of news.
    fn look(follower: &mut Follower) -> String {
        let letter = |news: News| match news {
            News::Snapshot(_) => 'S',
            News::Truncated => 'T',
            News::Replaced => 'R',
            News::Malformed(_) => 'M',
            News::Unreadable(_) => 'U',
        };
        follower.look().into_iter().map(letter).collect()
    }

    #[test]
    fn what_is_appended_is_read_once_and_in_whole_lines() {
        let file = Written::new("appended");
        file.append(&snapshot().repeat(2));
        let mut follower = Follower::new(file.0.clone());
        assert_eq!(look(&mut follower), "SS");
        assert_eq!(look(&mut follower), "");
        let line = snapshot();
        file.append(&line[..100]);
        assert_eq!(look(&mut follower), "");
        file.append(&line[100..]);
        file.append("nonsense\n\n");
        assert_eq!(look(&mut follower), "SM");
    }

    #[test]
    fn a_byte_order_mark_is_passed_over() {
        let file = Written::new("mark");
        file.append(&format!("\u{feff}{}", snapshot()));
        assert_eq!(look(&mut Follower::new(file.0.clone())), "S");
    }

    #[test]
    fn a_file_that_is_truncated_replaced_or_gone_is_noticed() {
        let file = Written::new("changed");
        let mut follower = Follower::new(file.0.clone());
        assert_eq!(look(&mut follower), "U");
        file.append(&snapshot().repeat(2));
        assert_eq!(look(&mut follower), "SS");
        File::options().write(true).open(&file.0).unwrap().set_len(0).unwrap();
        assert_eq!(look(&mut follower), "T");
        file.append(&snapshot());
        assert_eq!(look(&mut follower), "S");
        let other = Written::new("other");
        other.append(&snapshot().repeat(3));
        fs::rename(&other.0, &file.0).unwrap();
        assert_eq!(look(&mut follower), "RSSS");
    }

    #[test]
    fn of_a_long_file_the_end_is_read() {
        let file = Written::new("long");
        let line = snapshot();
        let count = 2 * TAIL as usize / line.len();
        file.append(&line.repeat(count));
        let found = look(&mut Follower::new(file.0.clone()));
        assert!(found.len() < count && found.len() > count / 4, "{} of {count}", found.len());
        assert!(found.bytes().all(|letter| letter == b'S'));
    }
}
