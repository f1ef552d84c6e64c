//! The process as the system sees it, by the names that Prometheus' client libraries use.

use std::{fs, sync::LazyLock, time::SystemTime};

use super::{
    Page,
    names::{
        BUILD_INFO, PROCESS_CPU, PROCESS_MAX_FDS, PROCESS_OPEN_FDS, PROCESS_RESIDENT, PROCESS_START, PROCESS_THREADS,
    },
};

/// When the process began, in seconds since 1970, or when this was first asked for.
static STARTED: LazyLock<f64> = LazyLock::new(|| {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
    // Field 22 of proc_pid_stat(5) counts from the boot, as /proc/uptime does.
    let uptime = fs::read_to_string("/proc/uptime").ok();
    let uptime = uptime.and_then(|text| text.split_whitespace().next()?.parse::<f64>().ok());
    match (uptime, stat_field(22)) {
        (Some(uptime), Some(ticks)) => now - uptime + ticks / ticks_per_second(),
        _ => now,
    }
});

/// To call at the start.
pub fn note_start() {
    LazyLock::force(&STARTED);
}

/// Puts process and build on the page. What the system does not tell is left out.
pub fn report(page: &mut Page) {
    page.value(&BUILD_INFO, &[env!("CARGO_PKG_VERSION")], 1_u64);
    page.value(&PROCESS_START, &[], *STARTED);
    if let (Some(user), Some(system)) = (stat_field(14), stat_field(15)) {
        page.value(&PROCESS_CPU, &[], (user + system) / ticks_per_second());
    }
    if let Some(pages) = stat_field(24) {
        page.value(&PROCESS_RESIDENT, &[], pages * rustix::param::page_size() as f64);
    }
    if let Some(threads) = stat_field(20) {
        page.value(&PROCESS_THREADS, &[], threads);
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        // Without the one that reads the folder.
        page.value(&PROCESS_OPEN_FDS, &[], open.count().saturating_sub(1));
    }
    if let Some(max) = rustix::process::getrlimit(rustix::process::Resource::Nofile).current {
        page.value(&PROCESS_MAX_FDS, &[], max);
    }
}

fn ticks_per_second() -> f64 {
    rustix::param::clock_ticks_per_second() as f64
}

/// A field of `/proc/self/stat`, counted from 1 as proc_pid_stat(5) does.
fn stat_field(number: usize) -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is a name in parentheses, which may have anything in it.
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.split(' ').nth(number.checked_sub(3)?)?.trim().parse().ok()
}
