//! Reading a password: from the first line of stdin, or from a person who types it unseen.

use std::io::{self, BufRead, IsTerminal as _};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::{
    error::{CliError, Failure},
    exit::Exit,
};

/// Bytes of stdin that may be a password; the server's own limit is lower.
const PASSWORD_BYTES_MAX: u64 = 64 << 10;

/// The next line; only its end is taken off, for blanks may be part of a password. `what` is asked for on a terminal.
pub fn read(input: &mut dyn BufRead, what: &str) -> Result<String, Failure> {
    let mut line = String::new();
    let refused = |why: &str| {
        CliError::new(Exit::Usage, format!("cannot read the {} from stdin: {why}", what.to_lowercase()))
            .hint("type it on a terminal, or pass it in the first line of stdin: roster … < password.txt")
    };
    let _hidden = Hidden::from_terminal(what);
    let read = std::io::Read::take(input, PASSWORD_BYTES_MAX).read_line(&mut line);
    read.map_err(|error| refused(&error.to_string()))?;
    if line.len() as u64 == PASSWORD_BYTES_MAX {
        return Err(refused("it is longer than 64 KiB").into());
    }
    let password = line.strip_suffix('\n').map_or(line.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    if password.is_empty() {
        return Err(refused("the line is empty").into());
    }
    Ok(password.to_owned())
}

/// Keeps what is typed off the screen until dropped.
struct Hidden(Termios);

impl Hidden {
    /// Asks, if stdin is a terminal.
    fn from_terminal(what: &str) -> Option<Self> {
        let stdin = io::stdin();
        if !stdin.is_terminal() {
            return None;
        }
        let shown = tcgetattr(&stdin).ok()?;
        let mut hidden = shown.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        tcsetattr(&stdin, OptionalActions::Flush, &hidden).ok()?;
        eprint!("{what}: ");
        Some(Self(shown))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // The terminal may be gone; then there is nothing to put back.
        let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &self.0);
        eprintln!();
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_password_keeps_its_blanks_and_must_be_there() {
        let read = |mut bytes: &[u8]| super::read(&mut bytes, "Password");
        assert_eq!(read(b" a b \r\nmore").unwrap(), " a b ");
        assert_eq!(read(b"x").unwrap(), "x");
        assert!(read(b"").is_err());
        assert!(read(b"\xff\n").is_err());
        assert!(read(&[b'x'; 70_000]).is_err());
    }
}
