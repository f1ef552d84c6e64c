//! Running `roster` to its end: what it was given, and what came of it.

use std::{
    fmt,
    path::Path,
    process::{Command, Output, Stdio},
};

/// The program under test.
pub const ROSTER: &str = env!("CARGO_BIN_EXE_roster");

/// `program` in `folder`, with nothing of this process's environment that could change what it does.
pub fn command(program: &str, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder).env_clear().stdin(Stdio::null());
    for name in ["PATH", "HOME", "TMPDIR"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}

/// How a program ended.
pub struct Ended {
    /// The exit code; `None` after a signal.
    pub code: Option<i32>,
    /// All of stdout.
    pub out: String,
    /// All of stderr.
    pub err: String,
}

impl Ended {
    /// The lines of stdout, each parsed as JSON.
    pub fn json(&self) -> Vec<serde_json::Value> {
        let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}"));
        self.out.lines().map(parse).collect()
    }

    /// This, once it has ended with `code`.
    #[track_caller]
    pub fn with_code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// This, once it was refused with `code`, one line that starts with `error:` and has all of `fragments`,
    /// and no more than a hint or the request's id beside it.
    #[track_caller]
    pub fn refused(self, code: i32, fragments: &[&str]) -> Self {
        let this = self.with_code(code);
        let mut lines = this.err.lines();
        let first = lines.next().unwrap_or_default();
        assert!(first.starts_with("error: "), "{this:#?}");
        for fragment in fragments {
            assert!(this.err.contains(fragment), "no {fragment:?} in {this:#?}");
        }
        let beside =
            |line: &str| line.starts_with("hint: ") || line.starts_with("request id: ") || line.starts_with("  ");
        assert!(lines.all(beside), "{this:#?}");
        this
    }
}

/// At most this many characters of each stream are shown when a test fails.
const SHOWN_MAX: usize = 4_000;

impl fmt::Debug for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |text: &str| text.chars().take(SHOWN_MAX).collect::<String>();
        write!(f, "exit code {:?}\n-- stdout\n{}\n-- stderr\n{}", self.code, shown(&self.out), shown(&self.err))
    }
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

/// Runs a command to its end.
pub fn run(command: &mut Command) -> Ended {
    command.output().unwrap().into()
}
