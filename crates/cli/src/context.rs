//! What a command that calls a server works with. The demo hands over its own, and so can tests.

use std::{
    io::{BufRead, BufReader, IsTerminal as _, stdin},
    time::Duration,
};

use tonic::Request;

use crate::{
    args::Global,
    client::{self, Users},
    error::CliError,
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
}
