//! The machine: limits and the clock.

use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rustix::process::{Resource, getrlimit};

use super::check::Check;
use crate::exit::Exit;

/// Files that a server has open beside its connections: database, log, listeners, event queues.
const OTHER_FILES: u64 = 128;
/// 2026-01-01T00:00:00Z in seconds. This program is not older.
const EARLIEST_SECONDS: u64 = 1_767_225_600;
/// Where systemd-timesyncd says whether it has set the clock (systemd-timesyncd.service(8)).
const TIMESYNC: &str = "/run/systemd/timesync";
/// A clock may differ this much from the one that wrote the database.
const CLOCK_SLACK: Duration = Duration::from_secs(60);

/// Each connection is an open file.
pub fn open_files(max_connections: usize) -> Check {
    const NAME: &str = "open files";
    let wanted = max_connections as u64 + OTHER_FILES;
    // The server raises its own limit as far as it may.
    match getrlimit(Resource::Nofile).maximum {
        Some(limit) if limit < wanted => Check::warn(
            NAME,
            format!("{limit} allowed, {max_connections} connections want {wanted}"),
            format!(
                "raise it (`ulimit -Hn {wanted}` as root, LimitNOFILE={wanted} in systemd), or lower max_connections"
            ),
        ),
        Some(limit) => Check::ok(NAME, format!("{limit} allowed")),
        None => Check::ok(NAME, "no limit"),
    }
}

/// Ids and timestamps start with the time, so it must be about right and not go back.
pub fn clock(database: Option<&Path>) -> Check {
    let written = database.and_then(|path| fs::metadata(path).ok()?.modified().ok());
    judge_clock(SystemTime::now(), written, is_synchronized(Path::new(TIMESYNC)))
}

/// Whether the clock follows others, if this machine has the service of systemd for that.
fn is_synchronized(folder: &Path) -> Option<bool> {
    folder.is_dir().then(|| folder.join("synchronized").exists())
}

fn judge_clock(now: SystemTime, written: Option<SystemTime>, synchronized: Option<bool>) -> Check {
    const NAME: &str = "clock";
    const ADVICE: &str = "set the clock, and keep it right with NTP (`timedatectl`)";
    if now < UNIX_EPOCH + Duration::from_secs(EARLIEST_SECONDS) {
        return Check::fail(Exit::Config, NAME, "before 2026, when this program was made", ADVICE);
    }
    match written.and_then(|written| written.duration_since(now).ok()) {
        Some(ahead) if ahead > CLOCK_SLACK => {
            let found = format!("the database was written {} s from now, in the future", ahead.as_secs());
            Check::warn(NAME, found, ADVICE)
        }
        _ if synchronized == Some(false) => {
            Check::warn(NAME, "plausible, but it has not been set by NTP since this machine started", ADVICE)
        }
        _ if synchronized == Some(true) => Check::ok(NAME, "plausible, and set by NTP"),
        _ => Check::ok(NAME, "plausible"),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::check::State, *};

    #[test]
    fn a_clock_that_is_wrong_is_noticed() {
        let now = UNIX_EPOCH + Duration::from_secs(EARLIEST_SECONDS + 1_000_000);
        let state = |now, written, synchronized| judge_clock(now, written, synchronized).state;
        assert_eq!(state(now, None, None), State::Ok);
        assert_eq!(state(now, None, Some(true)), State::Ok);
        assert_eq!(state(now, None, Some(false)), State::Warn);
        assert_eq!(state(now, Some(now + CLOCK_SLACK), None), State::Ok);
        assert_eq!(state(now, Some(now + CLOCK_SLACK * 2), Some(true)), State::Warn);
        assert_eq!(state(UNIX_EPOCH, None, None), State::Fail(Exit::Config));
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(is_synchronized(folder.path()), Some(false));
        fs::write(folder.path().join("synchronized"), "").unwrap();
        assert_eq!(is_synchronized(folder.path()), Some(true));
        assert_eq!(is_synchronized(&folder.path().join("none")), None);
    }

    #[test]
    fn more_connections_than_files_is_noticed() {
        assert_eq!(open_files(usize::MAX >> 2).state, State::Warn);
    }
}
