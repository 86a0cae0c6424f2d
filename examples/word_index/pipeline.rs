//! The threads. File `i` goes down lane `i % lanes`, and the merger takes from the lanes in turn; so files arrive
//! in order without a lock, whichever thread is faster.

use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, Builder, Scope};

use crate::file::{FileText, FileWords};
use crate::index::Index;
use crate::settings::Settings;
use crate::skipped::Skipped;

/// Files that may wait in a channel. Enough to even out a large file among small ones.
const WAITING: usize = 8;

/// Indexes `files` in their order; returns those that had to be skipped.
///
/// # Errors
///
/// If a thread cannot be started. Those already started end by themselves, as nobody takes their results.
pub fn index_files(files: &[PathBuf], settings: &'static Settings, index: &mut Index) -> io::Result<Vec<Skipped>> {
    let lanes = usize::from(settings.threads.get());
    thread::scope(|scope| {
        let lanes: Vec<_> = (0..lanes)
            .map(|lane| start_lane(scope, files.iter().skip(lane).step_by(lanes), settings))
            .collect::<io::Result<_>>()?;

        let mut skipped = Vec::new();
        // The first lane found at its end was due the file after the last.
        for outcome in lanes.iter().cycle().map_while(|lane| lane.recv().ok()) {
            match outcome {
                Ok(words) => index.merge(words),
                Err(skip) => skipped.push(skip),
            }
        }
        Ok(skipped)
    })
}

/// Starts one reader and the tokeniser it feeds. The outcomes come in the order of `files`.
fn start_lane<'scope>(
    scope: &'scope Scope<'scope, '_>,
    files: impl Iterator<Item = &'scope PathBuf> + Send + 'scope,
    settings: &'static Settings,
) -> io::Result<Receiver<Result<FileWords, Skipped>>> {
    let (to_tokeniser, texts) = sync_channel(WAITING);
    let (to_merger, outcomes) = sync_channel(WAITING);
    let read = files.map(|path| FileText::read(path, settings));
    Builder::new().name("reader".into()).spawn_scoped(scope, move || send_all(read, &to_tokeniser))?;
    let tokenised = texts.into_iter().map(|text| text.map(|text| text.into_words(settings)));
    Builder::new().name("tokeniser".into()).spawn_scoped(scope, move || send_all(tokenised, &to_merger))?;
    Ok(outcomes)
}

/// Computes and sends each item, until there are no more or nobody is left to receive them.
fn send_all<T>(mut items: impl Iterator<Item = T>, to: &SyncSender<T>) {
    while let Some(item) = items.next()
        && to.send(item).is_ok()
    {}
}
