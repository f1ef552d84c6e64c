//! A `roster serve --dev` of a test's own: started, watched through its log, and ended.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use roster_api::{
    Client,
    client::Transport,
    user::v1::{CreateUserRequest, user_service_client::UserServiceClient},
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::process::{Ended, ROSTER, command, run};

/// Nothing that a test waits for takes this long, however slow the machine.
pub const LIMIT: Duration = Duration::from_secs(60);

/// A server that runs; killed when dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    log: Receiver<String>,
    seen: Vec<String>,
    /// Where it serves gRPC, as `127.0.0.1:PORT`.
    pub grpc: String,
    /// Where it serves HTTP, if it does.
    pub http: Option<String>,
}

/// `roster serve --dev` on free ports in `folder`.
pub fn serve(folder: &Path) -> Command {
    let mut command = command(ROSTER, folder);
    command.args(["serve", "--dev", "--port", "0", "--http-addr", "off"]);
    // What a test asks for at once is done, however slow the machine is.
    command.env("ROSTER_QUEUE_WAIT_MAX_MS", "600000");
    command
}

impl Server {
    /// A server on `roster.db` in `folder`.
    pub fn on_file(folder: &Path) -> Self {
        Self::start(&mut serve(folder))
    }

    /// A server in memory.
    pub fn in_memory() -> Self {
        Self::start(serve(&std::env::temp_dir()).args(["--database-url", "sqlite::memory:"]))
    }

    /// Starts `command` and returns once it serves.
    pub fn start(command: &mut Command) -> Self {
        Self::try_start(command).unwrap_or_else(|ended| panic!("the server did not start: {ended:#?}"))
    }

    /// Starts `command` and returns once it serves, or has ended.
    pub fn try_start(command: &mut Command) -> Result<Self, Ended> {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let (log, seen) = mpsc::channel();
        // Ends with the process, whose end closes the pipe.
        thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| log.send(line)));
        let mut server = Self { child, log: seen, seen: Vec::new(), grpc: String::new(), http: None };
        match server.await_message("serving") {
            Some(event) => {
                server.grpc = event["grpc_addr"].as_str().unwrap().to_owned();
                server.http = event["http_addr"].as_str().filter(|addr| *addr != "off").map(str::to_owned);
                Ok(server)
            }
            None => Err(Ended {
                code: server.child.wait().unwrap().code(),
                out: String::new(),
                err: server.seen.join("\n") + "\n",
            }),
        }
    }

    /// Reads the log up to the event with this message; `None` if the process ends before that.
    pub fn await_message(&mut self, message: &str) -> Option<Value> {
        self.await_event(|event| event["message"].as_str().is_some_and(|text| text.starts_with(message)))
    }

    /// Reads the log up to such an event; `None` if the process ends before that.
    pub fn await_event(&mut self, wanted: impl Fn(&Value) -> bool) -> Option<Value> {
        let deadline = Instant::now() + LIMIT;
        while let Some(line) = self.next_line(deadline) {
            let event: Value = serde_json::from_str(&line).unwrap_or_default();
            if wanted(&event) {
                return Some(event);
            }
        }
        None
    }

    /// Whether this is in what was read of the log.
    pub fn has_seen(&self, text: &str) -> bool {
        self.seen.iter().any(|line| line.contains(text))
    }

    /// The last line that was read of it.
    pub fn last_line(&self) -> &str {
        self.seen.last().map_or("", String::as_str)
    }

    fn next_line(&mut self, deadline: Instant) -> Option<String> {
        match self.log.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                self.seen.push(line.clone());
                Some(line)
            }
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("nothing for {LIMIT:?} after {:#?}", self.seen),
        }
    }

    /// The process id.
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        kill_process(self.pid(), Signal::TERM).unwrap();
    }

    /// Waits until the process has ended; gives its code and its whole log.
    pub fn wait(mut self) -> Ended {
        let deadline = Instant::now() + LIMIT;
        while self.next_line(deadline).is_some() {}
        let code = self.child.wait().unwrap().code();
        Ended { code, out: String::new(), err: self.seen.join("\n") }
    }

    /// Like [`Self::wait`], while clients in this runtime go on: one that says nothing holds a drain to its end.
    pub async fn ended(self) -> Ended {
        tokio::task::spawn_blocking(|| self.wait()).await.unwrap()
    }

    /// SIGTERM, and what came of it: exit code 0.
    #[track_caller]
    pub fn stop(self) -> Ended {
        self.terminate();
        self.wait().with_code(0)
    }

    /// kill -9, and the end of the process.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// A client with a connection of its own.
    pub async fn client(&self) -> UserServiceClient<Transport> {
        Client::connect(&self.grpc).await.unwrap().users()
    }

    /// Creates `count` users `user-0000` and so on, with a connection that is gone afterwards.
    pub fn fill(&self, count: usize) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut users = self.client().await;
            for number in 0..count {
                users.create_user(new_user(&format!("user-{number:04}"))).await.unwrap();
            }
        });
    }

    /// `roster …` as a user of this server.
    pub fn roster(&self, args: &[&str]) -> Ended {
        run(&mut self.command(args))
    }

    /// The command of [`Self::roster`].
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = command(ROSTER, &std::env::temp_dir());
        command.env("ROSTER_SERVER", &self.grpc).args(args);
        command
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fails if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A request to create the user `id`, with an address made from it.
pub fn new_user(id: &str) -> CreateUserRequest {
    CreateUserRequest {
        user_id: id.into(),
        email: format!("{id}@example.com"),
        name: format!("User {id}"),
        ..CreateUserRequest::default()
    }
}
