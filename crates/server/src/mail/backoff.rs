//! How long to wait between two attempts.

use std::time::Duration;

/// No wait is longer.
const WAIT_MAX: Duration = Duration::from_secs(15 * 60);

/// The wait after failure number `attempt`, from 1: doubles each time, and up to a half is left to `chance`, so that
/// mails that failed together do not come back together.
pub(super) fn wait(first: Duration, attempt: u32, chance: u64) -> Duration {
    let doublings = attempt.saturating_sub(1).min(30);
    let whole = first.saturating_mul(1 << doublings).min(WAIT_MAX);
    let half = whole / 2;
    let span = u64::try_from(half.as_micros()).unwrap_or(u64::MAX);
    half + Duration::from_micros(chance % (span + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_quarter_of_an_hour_and_differ_by_chance() {
        let first = Duration::from_secs(5);
        let span = |attempt| (wait(first, attempt, 0), wait(first, attempt, 2_500_000 << (attempt - 1).min(20)));
        assert_eq!(span(1), (Duration::from_millis(2_500), Duration::from_secs(5)));
        assert_eq!(span(2), (Duration::from_secs(5), Duration::from_secs(10)));
        assert_eq!(wait(first, 30, 0), WAIT_MAX / 2);
        for chance in [0, 1, u64::MAX / 3, u64::MAX] {
            for attempt in [0, 1, 7, u32::MAX] {
                let wait = wait(first, attempt, chance);
                assert!(wait >= first / 2 && wait <= WAIT_MAX, "{wait:?}");
            }
        }
    }
}
