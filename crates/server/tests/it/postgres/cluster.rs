//! The PostgreSQL server that tests use: a throwaway one that ends with this process, or the one that is named to us.

use std::{
    env,
    ffi::OsStr,
    fs,
    io::{BufRead as _, BufReader, Read as _},
    os::unix::{fs::chown, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use url::Url;

/// Names a server where our role may create databases; without TLS.
const NAMED: &str = "ROSTER_TEST_POSTGRES_URL";

/// Stays beside the server until this process is gone, and then ends it.
const GUARD: &str = include_str!("cluster.sh");

/// Settings of a server from which nothing is to outlive the machine.
const QUICK: &str = "fsync = off\nfull_page_writes = off";

/// A server.
pub struct Cluster {
    /// A database of it, for connections that create others.
    pub url: Url,
    /// What ends it; `None` for a server that was there before.
    pub guard: Option<Guard>,
}

/// The process that ends the server when its standard input does, which we hold.
pub struct Guard {
    pub process: Child,
    /// Where the server keeps everything.
    pub folder: PathBuf,
}

impl Cluster {
    /// The server that is named to us; else one of our own.
    pub fn find_or_start() -> Result<Self, String> {
        match env::var(NAMED) {
            Ok(named) => {
                let url = Url::parse(&named).map_err(|error| format!("{NAMED}: {error}"))?;
                Ok(Self { url, guard: None })
            }
            Err(_) => Self::start(),
        }
    }

    /// A server of our own that forgets what it was told if the machine fails, and is the quicker for it.
    pub fn start() -> Result<Self, String> {
        Self::start_in(&env::temp_dir(), QUICK, None)
    }

    /// A standby of this server, which is our own: it replays what is written here, and may be read.
    pub fn standby(&self) -> Result<Self, String> {
        let guard = self.guard.as_ref().ok_or("only a server of our own gets a standby")?;
        Self::start_in(&env::temp_dir(), QUICK, Some(&guard.folder))
    }

    /// A server of our own, in a folder of its own below `parent`, with these lines in its settings. A standby follows
    /// another that is kept in the folder `primary`.
    pub fn start_in(parent: &Path, settings: &str, primary: Option<&Path>) -> Result<Self, String> {
        let programs = find_programs().ok_or_else(|| {
            format!(
                "the tests need PostgreSQL: install what Debian calls postgresql (scripts/setup --tests does), \
                 or name a server with {NAMED}"
            )
        })?;
        let folder = tempfile::Builder::new().prefix("roster-pg-").tempdir_in(parent);
        let folder = folder.map_err(|error| error.to_string())?.keep();
        let arguments: Vec<&OsStr> = [OsStr::new(settings)].into_iter().chain(primary.map(Path::as_os_str)).collect();
        let guard = run_script(GUARD, &programs, &folder, &arguments);
        let (guard, _) = guard.inspect_err(|_| drop(fs::remove_dir_all(&folder)))?;
        let host: String = url::form_urlencoded::byte_serialize(folder.to_string_lossy().as_bytes()).collect();
        let url = Url::parse(&format!("postgres://roster@{host}/postgres")).map_err(|error| error.to_string())?;
        Ok(Self { url, guard: Some(Guard { process: guard, folder }) })
    }
}

/// Runs a script with the folder of PostgreSQL's programs, a folder of its own, and what else it takes. It is to say
/// "ready" when it has begun, and to tidy up when its standard input ends, which it does when this process is gone, however
/// that came about. Gives the process, and what else it has said on that line.
pub fn run_script(
    script: &str,
    programs: &Path,
    folder: &Path,
    arguments: &[&OsStr],
) -> Result<(Child, String), String> {
    let text = |error: std::io::Error| error.to_string();
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh"]).args([programs, folder]).args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // What ends us from the keyboard must not end what tidies up after us.
    command.process_group(0);
    if rustix::process::geteuid().is_root() {
        // PostgreSQL refuses to run as root.
        let (user, group) = service_user()?;
        chown(folder, Some(user), Some(group)).map_err(text)?;
        command.uid(user).gid(group);
    }
    let mut script = command.spawn().map_err(text)?;
    let mut said = String::new();
    if let Some(output) = &mut script.stdout {
        BufReader::new(output).read_line(&mut said).map_err(text)?;
    }
    if let Some(rest) = said.strip_prefix("ready") {
        return Ok((script, rest.trim().to_owned()));
    }
    let mut problem = String::new();
    if let Some(errors) = &mut script.stderr {
        errors.read_to_string(&mut problem).map_err(text)?;
    }
    Err(format!("PostgreSQL of {} does not start: {problem}", programs.display()))
}

/// Who runs it in place of root: its number and its group's.
fn service_user() -> Result<(u32, u32), String> {
    let number = |flag, name| {
        let output = Command::new("id").args([flag, name]).output().ok()?;
        String::from_utf8(output.stdout).ok()?.trim().parse().ok()
    };
    ["postgres", "nobody"]
        .into_iter()
        .find_map(|name| Some((number("-u", name)?, number("-g", name)?)))
        .ok_or_else(|| "there is no user postgres or nobody to run PostgreSQL as".into())
}

/// What a server and its standby take.
const PROGRAMS: [&str; 3] = ["initdb", "pg_ctl", "pg_basebackup"];

/// The folder with PostgreSQL's programs: one of `PATH`, or where distributions hide it, the newest release first.
pub fn find_programs() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = env::split_paths(&path).collect();
    let mut releases: Vec<(u32, PathBuf)> = [("/usr/lib/postgresql", ""), ("/usr", "pgsql-")]
        .into_iter()
        .flat_map(|(parent, prefix)| {
            fs::read_dir(parent).into_iter().flatten().flatten().map(move |entry| (entry, prefix))
        })
        .filter_map(|(entry, prefix)| {
            let release = entry.file_name().to_str()?.strip_prefix(prefix)?.parse().ok()?;
            Some((release, entry.path().join("bin")))
        })
        .collect();
    releases.sort_unstable_by(|one, other| other.cmp(one));
    folders.extend(releases.into_iter().map(|(_, folder)| folder));
    folders.into_iter().find(|folder| PROGRAMS.iter().all(|name| folder.join(name).is_file()))
}
