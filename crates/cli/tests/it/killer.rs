//! A kill in the middle of writes, after so many of them were acknowledged.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::process::{Pid, Signal, kill_process};

/// Who counts the writes and kills the server.
pub struct Killer {
    pid: Pid,
    left: AtomicU64,
    killed: AtomicBool,
}

impl Killer {
    /// Kills this process with the acknowledgement of this number.
    pub fn after(acknowledged: u64, pid: Pid) -> Self {
        Self { pid, left: AtomicU64::new(acknowledged), killed: AtomicBool::new(false) }
    }

    /// Counts a write that was acknowledged.
    pub fn acknowledged(&self) {
        if self.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.killed.store(true, Ordering::Relaxed);
            kill_process(self.pid, Signal::KILL).unwrap();
        }
    }

    /// Whether it has killed.
    pub fn has_killed(&self) -> bool {
        self.killed.load(Ordering::Relaxed)
    }
}
