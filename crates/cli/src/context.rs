//! What a command that calls a server works with. The demo hands over its own, and so can tests.

use std::{
    io::{BufRead, BufReader, IsTerminal as _, Write as _, stderr, stdin},
    time::Duration,
};

use tonic::Request;

use crate::{
    args::Global,
    client::{self, Users},
    error::{CliError, Failure},
    exit::Exit,
    output::{Output, Style},
};

/// A server to call, a place to print to, and someone to ask.
pub struct Context {
    /// The server.
    pub users: Users,
    /// What each call may take.
    pub timeout: Duration,
    /// Where results go.
    pub out: Output,
    /// How errors look that do not end the command.
    pub stderr: Style,
    /// Where passwords and answers come from.
    pub input: Box<dyn BufRead + Send>,
    /// Whether a person can be asked.
    pub interactive: bool,
}

impl Context {
    /// Connects as the flags say, to print to stdout.
    pub async fn connect(global: &Global) -> Result<Self, CliError> {
        let timeout = Duration::from_secs(global.timeout.into());
        Ok(Self {
            users: client::connect(&global.server).await?,
            timeout,
            out: Output::stdout(global),
            stderr: Style::for_stderr(global.color),
            input: Box::new(BufReader::new(stdin())),
            interactive: stdin().is_terminal(),
        })
    }

    /// `message` as a request with its deadline.
    pub fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.set_timeout(self.timeout);
        request
    }
    /// Whether a person says that `what` is to be deleted; refused with `hint` where there is none to ask.
    pub fn confirm_deletion(&mut self, what: &str, hint: &str) -> Result<bool, Failure> {
        if !self.interactive {
            let refused = CliError::new(Exit::Usage, "deleting is for good, and there is no terminal to ask on");
            return Err(refused.hint(hint).into());
        }
        write!(stderr(), "Delete {what} for good? [y/N] ")?;
        let mut answer = String::new();
        self.input.read_line(&mut answer)?;
        Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
    }
}
