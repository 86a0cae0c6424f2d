//! Screen: the terminal, which is left as it was found however this ends.

use std::convert::Infallible;
use std::io::{self, IsTerminal};
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use ratatui::DefaultTerminal;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::watch::Watch;
use super::{keys, view};

/// How often the file is looked at.
const PAUSE: Duration = Duration::from_millis(250);

/// Shows a watch until the user or a signal ends it, or the terminal hangs up.
pub fn show(watch: &mut Watch) -> io::Result<()> {
    let ends = Arc::new(AtomicBool::new(false));
    for signal in [SIGHUP, SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&ends))?;
    }
    let mut terminal = ratatui::try_init()?;
    let result = keys::open().and_then(|open| refresh(&mut terminal, watch, &ends, &open));
    match ratatui::try_restore().and(result) {
        // It has hung up: there is nobody to tell, and nothing to restore, which `terminal` would do when dropped.
        Err(_) if !io::stdout().is_terminal() => {
            mem::forget(terminal);
            Ok(())
        }
        result => result,
    }
}

fn refresh(
    terminal: &mut DefaultTerminal,
    watch: &mut Watch,
    ends: &AtomicBool,
    open: &Receiver<Infallible>,
) -> io::Result<()> {
    while !ends.load(Ordering::Relaxed) {
        watch.refresh();
        // What has become of the terminal's size is asked at every turn.
        terminal.draw(|frame| view::draw(watch, frame.area(), frame.buffer_mut()))?;
        if open.recv_timeout(PAUSE) != Err(RecvTimeoutError::Timeout) {
            break;
        }
    }
    Ok(())
}
