//! Where lines go: into one buffer, which a thread of its own empties.
//!
//! To wake a thread for a line costs more than to make it. So only whoever finds the buffer empty wakes the thread, which
//! waits a moment for more before it writes all there is. Lines stay in order and whole; when they come faster than
//! they can be written, further ones are left out, and how many is said once there is room.

use std::{
    io::{self, Write},
    mem,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use tracing_subscriber::fmt::MakeWriter;

/// Bytes of lines that may wait.
const WAITING_MAX: usize = 4 * 1024 * 1024;
/// Bytes that the buffer keeps for later.
const KEPT: usize = 256 * 1024;
/// How long the thread lets lines gather.
const GATHER: Duration = Duration::from_millis(1);
/// How long the end waits for lines that nobody takes.
const FLUSH_MAX: Duration = Duration::from_secs(1);

/// Takes lines, one a write.
#[derive(Clone, Debug)]
pub(super) struct Sink(Arc<Shared>);

/// Has what waits written when it is dropped.
#[derive(Debug)]
pub(super) struct Guard(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    /// Lines have come to an empty buffer, or the end.
    came: Condvar,
    /// The thread has written all.
    done: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: Vec<u8>,
    /// Lines left out since the last that was written.
    lost: u64,
    /// No more will come.
    closed: bool,
    /// All that came has been written.
    written: bool,
}

impl Sink {
    /// Starts the thread that writes to `out`.
    ///
    /// # Errors
    /// There can be no more threads.
    pub(super) fn start(out: impl Write + Send + 'static) -> io::Result<(Self, Guard)> {
        let shared = Arc::new(Shared::default());
        let of_thread = Arc::clone(&shared);
        thread::Builder::new().name("roster-log".into()).spawn(move || of_thread.run(out))?;
        Ok((Self(Arc::clone(&shared)), Guard(shared)))
    }
}

impl Write for &Sink {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut waiting = self.0.waiting();
        if waiting.lines.len() + line.len() > WAITING_MAX {
            waiting.lost += 1;
            return Ok(line.len());
        }
        let is_first = waiting.lines.is_empty();
        waiting.lines.extend_from_slice(line);
        drop(waiting);
        if is_first {
            self.0.came.notify_one();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Sink {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> &'a Self {
        self
    }
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, mut out: impl Write) {
        let mut lines = Vec::new();
        loop {
            let waiting = self.came.wait_while(self.waiting(), |waiting| waiting.lines.is_empty() && !waiting.closed);
            if !waiting.unwrap_or_else(PoisonError::into_inner).closed {
                thread::sleep(GATHER);
            }
            let mut waiting = self.waiting();
            mem::swap(&mut lines, &mut waiting.lines);
            let lost = mem::take(&mut waiting.lost);
            if lines.is_empty() && waiting.closed {
                waiting.written = true;
                self.done.notify_all();
                return;
            }
            drop(waiting);
            // While there is room for it, and where the lines are missing.
            if lost > 0 {
                tracing::warn!(lines = lost, "lines were left out: standard error takes them too slowly");
            }
            // If they cannot be written there is nobody to tell.
            let _ = out.write_all(&lines).and_then(|()| out.flush());
            lines.clear();
            lines.shrink_to(KEPT);
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let mut waiting = self.0.waiting();
        waiting.closed = true;
        self.0.came.notify_one();
        // A pipe that nobody reads must not keep the process from ending.
        drop(self.0.done.wait_timeout_while(waiting, FLUSH_MAX, |waiting| !waiting.written));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Takes nothing until it is let.
    struct Slow {
        let_go: mpsc::Receiver<()>,
        taken: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.let_go.recv();
            self.taken.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_stay_whole_and_in_order_and_what_is_too_much_is_left_out() {
        let (let_go, taken) = (mpsc::channel(), Arc::default());
        let (sink, guard) = Sink::start(Slow { let_go: let_go.1, taken: Arc::clone(&taken) }).unwrap();
        // More than can be taken and wait, whatever the thread has taken meanwhile.
        let lines = 2 * WAITING_MAX / 1_000 + 2;
        for line in 0..lines {
            (&sink).write_all(format!("{line:0>999}\n").as_bytes()).unwrap();
        }
        assert!(sink.0.waiting().lost > 0);
        drop(let_go.0);
        drop(guard);
        let taken = String::from_utf8(taken.lock().unwrap().clone()).unwrap();
        let numbers: Vec<usize> = taken.lines().map(|line| line.parse().unwrap()).collect();
        assert!(taken.ends_with('\n') && taken.lines().all(|line| line.len() == 999));
        assert!(numbers.is_sorted_by(|one, next| one < next) && numbers[0] == 0);
        assert!((WAITING_MAX / 1_000..lines).contains(&numbers.len()), "{}", numbers.len());
    }

    #[test]
    fn the_end_does_not_wait_for_a_reader_that_takes_nothing() {
        let (_let_go, blocked) = mpsc::channel();
        let (sink, guard) = Sink::start(Slow { let_go: blocked, taken: Arc::default() }).unwrap();
        (&sink).write_all(b"never read\n").unwrap();
        drop(guard);
        assert!(!sink.0.waiting().written);
    }
}
