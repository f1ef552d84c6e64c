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
/// A clock may differ this much from the one that wrote the database.
const CLOCK_SLACK: Duration = Duration::from_secs(60);

/// Each connection is an open file.
pub fn open_files(max_connections: usize) -> Check {
    const NAME: &str = "open files";
    let wanted = max_connections as u64 + OTHER_FILES;
    match getrlimit(Resource::Nofile).current {
        Some(limit) if limit < wanted => Check::warn(
            NAME,
            format!("{limit} allowed, {max_connections} connections want {wanted}"),
            format!("raise it (`ulimit -n {wanted}`, LimitNOFILE={wanted} in systemd), or lower max_connections"),
        ),
        Some(limit) => Check::ok(NAME, format!("{limit} allowed")),
        None => Check::ok(NAME, "no limit"),
    }
}

/// Ids and timestamps start with the time, so it must be about right and not go back.
pub fn clock(database: Option<&Path>) -> Check {
    let written = database.and_then(|path| fs::metadata(path).ok()?.modified().ok());
    judge_clock(SystemTime::now(), written)
}

fn judge_clock(now: SystemTime, written: Option<SystemTime>) -> Check {
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
        _ => Check::ok(NAME, "plausible"),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::check::State, *};

    #[test]
    fn a_clock_that_is_wrong_is_noticed() {
        let now = UNIX_EPOCH + Duration::from_secs(EARLIEST_SECONDS + 1_000_000);
        assert_eq!(judge_clock(now, None).state, State::Ok);
        assert_eq!(judge_clock(now, Some(now + CLOCK_SLACK)).state, State::Ok);
        assert_eq!(judge_clock(now, Some(now + CLOCK_SLACK * 2)).state, State::Warn);
        assert_eq!(judge_clock(UNIX_EPOCH, None).state, State::Fail(Exit::Config));
    }

    #[test]
    fn more_connections_than_files_is_noticed() {
        assert_eq!(open_files(usize::MAX >> 2).state, State::Warn);
    }
}
