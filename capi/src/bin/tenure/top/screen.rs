//! Screen: the terminal, which is left as it was found however this ends.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::DefaultTerminal;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::view;
use super::watch::Watch;

/// How often the file is looked at.
const PAUSE: Duration = Duration::from_millis(250);

/// Shows a watch until the user or a signal ends it.
pub fn show(watch: &mut Watch) -> io::Result<()> {
    let ends = Arc::new(AtomicBool::new(false));
    for signal in [SIGHUP, SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&ends))?;
    }
    let mut terminal = ratatui::try_init()?;
    let result = refresh(&mut terminal, watch, &ends);
    ratatui::try_restore().and(result)
}

fn refresh(terminal: &mut DefaultTerminal, watch: &mut Watch, ends: &AtomicBool) -> io::Result<()> {
    while !ends.load(Ordering::Relaxed) {
        watch.refresh();
        // What has become of the terminal's size is asked at every turn.
        terminal.draw(|frame| view::draw(watch, frame.area(), frame.buffer_mut()))?;
        match event::poll(PAUSE) {
            Ok(true) => {
                if let Event::Key(key) = event::read()?
                    && is_end(key)
                {
                    return Ok(());
                }
            }
            Ok(false) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn is_end(key: KeyEvent) -> bool {
    let is_control_c = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    key.kind == KeyEventKind::Press && (is_control_c || matches!(key.code, KeyCode::Char('q') | KeyCode::Esc))
}
