//! Threads that must not slow the others.

/// Lowers the priority of this thread to `nice`, up to 19. What it does is still done, later.
#[cfg(target_os = "linux")]
pub(crate) fn lower(nice: i32) {
    // On Linux a thread has a priority of its own, and its id stands where that of a process would.
    if let Err(error) = rustix::process::setpriority_process(Some(rustix::thread::gettid()), nice) {
        let thread = std::thread::current();
        tracing::warn!(%error, thread = thread.name(), "cannot lower the priority of a thread; it will slow calls");
    }
}

/// Elsewhere a priority is that of the whole process, which must keep it.
#[cfg(not(target_os = "linux"))]
pub(crate) fn lower(_: i32) {}
