//! What servers share of their limits, through Redis.
//!
//! Sign-ins, sign-ups and mails are rare, and what is to be limited about them. Each is taken from a bucket in Redis too,
//! and waits for that ([`Limits::confirm`]): all servers together let through what one would.
//!
//! Reads and writes wait for nothing. Ten times a second a server tells what it has taken, of whoever has taken more than
//! a small share of a burst or has less than half of one left, and hears what all have taken together
//! ([`Limits::keep_in_step`]). What was let through too much in between is owed, and waited for later: in the long run
//! all servers together let through the rate, and ahead of it at most what each takes within a round and a 64th of a
//! burst.
//!
//! A bucket in Redis is what it is here: the time at which it is full again, by the clock of Redis. It ends with that
//! time.

use std::{
    sync::{LazyLock, atomic::Ordering::Relaxed},
    time::Duration,
};

use roster_api::access::RateClass;
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

use super::{Bucket, Exceeded, Limits, Table};
use crate::{
    model::Rates,
    redis::{Purpose, Redis, Script},
};

/// The time between two rounds.
const ROUND: Duration = Duration::from_millis(100);
/// Who has taken so many parts of a burst is told of.
const SHARES: u64 = 64;
/// Slots of a cluster that keys are dealt to: those of one share a script.
const SLOTS: u64 = 16;
/// Buckets that one script is told of.
const BATCH_MAX: usize = 500;
/// Microseconds that buckets may be in debt at least, beyond a whole burst.
const DEBT_MICROS: u64 = 10_000_000;

/// Takes a call from a bucket, or says how long to wait. Gives whether it was taken, the wait, and when the bucket will be
/// full. Arguments: what a call takes, and what a full bucket has. All times in microseconds.
///
/// A clock that was put back must not lock anybody out, so no bucket is found emptier than empty.
static TAKE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local time = redis.call('TIME')
        local now = time[1] * 1000000 + time[2]
        local call, full = tonumber(ARGV[1]), tonumber(ARGV[2])
        local left = math.min(math.max(tonumber(redis.call('GET', KEYS[1]) or 0) - now, 0), full)
        local after = left + call
        if after > full then return {0, math.ceil(after - full), math.ceil(left)} end
        redis.call('SET', KEYS[1], string.format('%.2f', now + after), 'PX', math.ceil(after / 1000))
        return {1, 0, math.ceil(after)}",
    )
});

/// Takes from buckets what was taken already; gives when each will be full. Arguments: what a full bucket may owe at most,
/// and what was taken from each. All times in microseconds.
static TELL: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local time = redis.call('TIME')
        local now = time[1] * 1000000 + time[2]
        local most, answers = tonumber(ARGV[1]), {}
        for number, key in ipairs(KEYS) do
            local left = math.max(tonumber(redis.call('GET', key) or 0) - now, 0)
            left = math.min(left + tonumber(ARGV[number + 1]), most)
            redis.call('SET', key, string.format('%.2f', now + left), 'PX', math.ceil(left / 1000) + 1)
            answers[number] = math.ceil(left)
        end
        return answers",
    )
});

/// The way to what other servers have let through.
pub(super) struct Link {
    redis: Redis,
}

/// What was taken here and is yet to be taken from what all servers share.
#[derive(Debug, Default)]
#[must_use = "a call is not let through before it is confirmed"]
pub struct Taken(Vec<(RateClass, u64)>);

impl Taken {
    /// Nothing, if calls of this class wait for no other server.
    pub(super) fn of(class: RateClass, hash: u64) -> Self {
        match class {
            RateClass::SignIn | RateClass::SignUp | RateClass::Mail => Self(vec![(class, hash)]),
            RateClass::Read | RateClass::Write => Self::default(),
        }
    }

    /// Both.
    pub fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// Whether there is nothing to wait for.
    #[must_use]
    pub fn is_confirmed(&self) -> bool {
        self.0.is_empty()
    }
}

/// What is told of a bucket.
pub(super) struct Due {
    /// Its place in the table, and whose it is.
    place: usize,
    pub(super) hash: u64,
    /// What was taken, in nanoseconds.
    pub(super) taken: u64,
}

impl Limits {
    /// Full buckets, which servers with the same key share through Redis.
    #[must_use]
    pub fn shared(rates: &Rates, redis: Redis, key: &[u8; 32]) -> Self {
        let mut half = [0; 16];
        half.copy_from_slice(&key[..16]);
        let mut limits = Self::keyed(rates, &half);
        for class in [RateClass::Read, RateClass::Write] {
            if let Some(table) = &mut limits.classes[class as usize] {
                table.is_told = true;
            }
        }
        limits.link = Some(Link { redis });
        limits
    }

    /// Takes from what all servers share what was taken here. Waits no longer than calls wait for Redis, and lets through
    /// if it does not answer.
    ///
    /// # Errors
    /// A bucket is empty.
    pub async fn confirm(&self, taken: Taken) -> Result<(), Exceeded> {
        let Some(Link { redis }) = &self.link else { return Ok(()) };
        for (class, hash) in taken.0 {
            let Some(table) = &self.classes[class as usize] else { continue };
            let mut script = TAKE.prepare_invoke();
            script.key(key(redis, class, hash)).arg(micros(table.cells.call)).arg(micros(table.cells.full));
            let answer = redis.run::<(bool, u64, u64)>(Purpose::Limit, script).await;
            let Ok((was_taken, wait, left)) = answer else { continue };
            let now = self.now();
            let bucket = table.bucket(hash);
            bucket.raise(now + left.saturating_mul(1_000).min(table.cells.full));
            if !was_taken {
                return Err(bucket.exceeded(wait.saturating_mul(1_000), now));
            }
        }
        Ok(())
    }

    /// Tells other servers what is taken here, and hears of what is taken there; for ever.
    pub async fn keep_in_step(&self) {
        let Some(Link { redis }) = &self.link else { return std::future::pending().await };
        let mut rounds = interval(ROUND);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            rounds.tick().await;
            // What is taken meanwhile is told when it is there again.
            if !redis.answers() {
                continue;
            }
            for class in [RateClass::Read, RateClass::Write] {
                if let Some(table) = self.classes[class as usize].as_ref() {
                    self.tell(redis, class, table).await;
                }
            }
        }
    }

    /// One round of a class. What Redis does not answer is not told again: it may have heard.
    async fn tell(&self, redis: &Redis, class: RateClass, table: &Table) {
        let mut slots: [Vec<Due>; SLOTS as usize] = Default::default();
        for due in table.dues(self.now()) {
            slots[slot(due.hash) as usize].push(due);
        }
        let most = micros(table.cells.full) + micros(table.cells.full).max(DEBT_MICROS);
        let mut told = JoinSet::new();
        for mut dues in slots.into_iter().filter(|dues| !dues.is_empty()) {
            while !dues.is_empty() {
                let batch = dues.split_off(dues.len().saturating_sub(BATCH_MAX));
                let mut script = TELL.prepare_invoke();
                script.arg(most);
                for due in &batch {
                    script.key(key(redis, class, due.hash)).arg(micros(due.taken));
                }
                let redis = redis.clone();
                told.spawn(async move { (batch, redis.work::<Vec<u64>>(Purpose::LimitRound, script).await) });
            }
        }
        while let Some(answer) = told.join_next().await {
            if let Ok((batch, Ok(left))) = answer {
                table.heard(&batch, &left, self.now());
            }
        }
    }
}

impl Table {
    /// Of which buckets others are to be told. They count as told.
    pub(super) fn dues(&self, now: u64) -> Vec<Due> {
        let buckets = self.groups.as_flattened().iter().enumerate();
        let due = |(place, bucket): (usize, &Bucket)| {
            let untold = bucket.untold.load(Relaxed);
            if untold == 0 {
                return None;
            }
            let missing = bucket.full_at.load(Relaxed).saturating_sub(now);
            let is_worth_it = untold >= self.cells.full / SHARES || missing >= self.cells.full / 2;
            if missing != 0 && !is_worth_it {
                return None;
            }
            // What has come back since is no news.
            let taken = bucket.untold.swap(0, Relaxed).min(missing);
            (taken != 0).then(|| Due { place, hash: bucket.holder.load(Relaxed), taken })
        };
        buckets.filter_map(due).collect()
    }

    /// Takes in when buckets will be full that others take from too, in microseconds from now.
    pub(super) fn heard(&self, dues: &[Due], left: &[u64], now: u64) {
        let buckets = self.groups.as_flattened();
        for (due, left) in dues.iter().zip(left) {
            let bucket = &buckets[due.place];
            // It may be somebody else's by now.
            if bucket.holder.load(Relaxed) == due.hash {
                let untold = bucket.untold.load(Relaxed);
                bucket.raise(now.saturating_add(left.saturating_mul(1_000)).saturating_add(untold));
            }
        }
    }
}

/// The bucket of a holder in Redis. As here, one bit of the hash is always set.
fn key(redis: &Redis, class: RateClass, hash: u64) -> String {
    let (class, holder) = (class as usize, hash | 1);
    redis.key(format_args!("limit:{{{:x}}}:{class}:{holder:016x}", slot(holder)))
}

/// The lowest bit is always set.
fn slot(holder: u64) -> u64 {
    (holder >> 1) % SLOTS
}

/// Of nanoseconds, at least one.
fn micros(nanos: u64) -> u64 {
    nanos.div_ceil(1_000).max(1)
}
