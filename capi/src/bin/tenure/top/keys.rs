//! Keys: a thread reads what is typed, until it is a key that ends the view. It may wait for ever; the view does not
//! wait for it.

use std::convert::Infallible;
use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal, Read};
use std::os::fd::AsFd;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

/// How long nothing is read from a terminal that does not wait.
const PAUSE: Duration = Duration::from_millis(100);

const CONTROL_C: u8 = 3;
const ESCAPE: u8 = 27;

/// What is closed when the user ends the view, and when the terminal has hung up. Nothing is ever sent.
pub fn open() -> io::Result<Receiver<Infallible>> {
    let stdin = io::stdin();
    let terminal =
        if stdin.is_terminal() { stdin.as_fd().try_clone_to_owned()?.into() } else { File::open("/dev/tty")? };
    let (end, open) = mpsc::channel();
    thread::Builder::new().spawn(move || {
        wait_for_end(terminal);
        drop(end);
    })?;
    Ok(open)
}

fn wait_for_end(mut terminal: File) {
    // As much as a terminal gives at once, so no key is cut in two by its end.
    let mut keys = [0; 4096];
    loop {
        match terminal.read(&mut keys) {
            Ok(count @ 1..) if !have_end(&keys[..count]) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // Another program has left it so.
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(PAUSE),
            _ => return,
        }
    }
}

/// True where `q`, Ctrl-C or Esc is among the keys that were read at once. Esc has nothing behind it: other keys begin
/// with it, too.
fn have_end(mut keys: &[u8]) -> bool {
    loop {
        keys = match keys {
            [] => return false,
            [b'q' | CONTROL_C, ..] | [ESCAPE] => return true,
            // The one such key that may have a `q`, of the block of digits.
            [ESCAPE, b'O', _, rest @ ..] | [_, rest @ ..] => rest,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_keys_end_the_view_and_no_others_do() {
        for end in ["q", "\x03", "\x1b", "xq", "\x1b[Aq", "\x1b[A\x1b", "\x1b[q"] {
            assert!(have_end(end.as_bytes()), "{end:?}");
        }
        // Letters, arrows, F1, the 1 of the block of digits, and half a key.
        for other in ["", "x", "Q", "\x1b[A", "\x1b[1;5D", "\x1bOP", "\x1bOq", "\x1b[", "\x1bO", "é"] {
            assert!(!have_end(other.as_bytes()), "{other:?}");
        }
    }
}
