//! How often who may call: a bucket for each class of methods and caller, or address.
//!
//! Each call takes from one bucket: its caller's, or, where nobody is known to call, its address's. The buckets are the
//! generic cell rate algorithm: a bucket is one number, the time at which it will be full again.
//!
//! Memory is fixed: a hash names eight buckets, and a newcomer takes the one that is fullest, with what has been taken
//! from it. So nobody gains calls by pushing others out; at worst some share a bucket. For that, somebody must keep
//! thousands of buckets from being full at the same time. Each class has buckets of its own, so whoever takes one over
//! never finds it emptier than calls of that class can make it: a newcomer waits no longer than the class has anybody
//! wait. Nothing is locked: two calls that meet can at worst let a newcomer share another's bucket. A call costs about
//! 50 ns.
//!
//! With Redis, servers share what has been taken; see `limits::shared`. Whatever Redis says or does, nobody gets more from a
//! server than its own buckets have.

mod shared;
#[cfg(test)]
mod tests;

use std::{
    hash::{Hash as _, Hasher as _},
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use roster_api::access::RateClass;
use siphasher::sip::SipHasher13;

use self::shared::Link;
pub use self::shared::Taken;
use crate::{
    auth::Caller,
    model::{ApiKeyId, Grant, Rate, Rates, UserId},
    ops::{Ops, RefusedCall},
};

/// In nanoseconds.
const MINUTE: u64 = 60_000_000_000;
/// Buckets that a hash names.
const WAYS: usize = 8;
/// Such groups of a class: 16,384 buckets of 32 bytes.
const GROUPS: usize = 2_048;
/// Such groups for [`NOTES`].
const NOTE_GROUPS: usize = 512;
/// For how long further refusals of one bucket are no news.
const WINDOW: u64 = MINUTE;
/// Refusals of one address that go into the audit log. A program that has lost its token and tries on, or somebody
/// who wants to fill the disk, shows in it all the same.
const NOTES: Rate = Rate { per_minute: 60, burst: 10_000 };

/// The buckets of all classes, addresses and callers.
pub struct Limits {
    /// By the number of the class; `None` where there is no limit.
    classes: [Option<Table>; 5],
    notes: Option<Table>,
    /// Keyed, so that nobody can choose whom to share a bucket with.
    hasher: SipHasher13,
    started: Instant,
    /// The way to what other servers have let through.
    link: Option<Link>,
}

/// The buckets of a class.
struct Table {
    cells: Cells,
    groups: Box<[[Bucket; WAYS]]>,
    /// What is taken is told to other servers by and by.
    is_told: bool,
}

/// What each message of one call that streams takes from, as if it were a call.
#[derive(Clone)]
pub struct MessageLimits {
    /// All of them.
    pub limits: Arc<Limits>,
    /// What each counts as.
    pub class: RateClass,
    /// Who sends them.
    pub caller: Caller,
    /// From where; `None` for this machine's operator.
    pub remote: Option<IpAddr>,
}

impl MessageLimits {
    /// Takes one.
    ///
    /// # Errors
    /// The bucket is empty.
    pub fn take(&self) -> Result<(), Exceeded> {
        match (&self.caller, self.remote) {
            (Caller::Anonymous | Caller::Developer, Some(address)) => {
                self.limits.take_from_address(self.class, address)
            }
            (caller, _) => self.limits.take_from_caller(self.class, caller),
        }
        // Messages are of a class that waits for no other server.
        .map(drop)
    }
}

/// Why a call must wait: its bucket is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exceeded {
    /// When it will have one call again.
    pub retry_after: Duration,
    /// Whether it has not been for a while.
    pub is_news: bool,
}

/// A rate, in nanoseconds.
#[derive(Clone, Copy, Debug)]
struct Cells {
    /// What a call takes.
    call: u64,
    /// What a full bucket has.
    full: u64,
}

impl Cells {
    /// `None` if there is no limit.
    fn of(rate: Rate) -> Option<Self> {
        let call = MINUTE.checked_div(rate.per_minute as u64)?.max(1);
        Some(Self { call, full: call.saturating_mul(rate.burst.max(1) as u64) })
    }
}

#[derive(Debug, Default)]
struct Bucket {
    /// A hash of whose it is; 0 for nobody.
    holder: AtomicU64,
    /// When it is full.
    full_at: AtomicU64,
    /// Until when its refusals are no news.
    told_until: AtomicU64,
    /// What has been taken and not been told to other servers.
    untold: AtomicU64,
}

/// Who takes from a bucket.
#[derive(Hash)]
enum Holder<'a> {
    V4([u8; 4]),
    /// The half of an address that names a network: the other half is the client's to choose.
    V6([u8; 8]),
    User(&'a UserId),
    ApiKey(ApiKeyId),
    Service(&'a str),
}

impl Limits {
    /// Full buckets.
    #[must_use]
    pub fn new(rates: &Rates) -> Self {
        let mut key = [0; 16];
        // Without chance it is known which callers share a bucket, which helps few.
        let _ = getrandom::fill(&mut key);
        Self::keyed(rates, &key)
    }

    fn keyed(rates: &Rates, key: &[u8; 16]) -> Self {
        let Rates { sign_in, sign_up, mail, read, write } = *rates;
        Self {
            classes: [sign_in, sign_up, mail, read, write].map(|rate| Table::of(rate, GROUPS)),
            notes: Table::of(NOTES, NOTE_GROUPS),
            hasher: SipHasher13::new_with_key(key),
            started: Instant::now(),
            link: None,
        }
    }

    /// Takes a call of nobody in particular from its address. Before it is done, it is to be [confirmed](Self::confirm).
    ///
    /// # Errors
    /// The bucket is empty.
    pub fn take_from_address(&self, class: RateClass, address: IpAddr) -> Result<Taken, Exceeded> {
        self.take_from(class, Some(Holder::of_address(address)))
    }

    /// Takes a call from its caller, if that is somebody in particular and neither developer nor operator. Before it is
    /// done, it is to be [confirmed](Self::confirm).
    ///
    /// # Errors
    /// The bucket is empty.
    pub fn take_from_caller(&self, class: RateClass, caller: &Caller) -> Result<Taken, Exceeded> {
        self.take_from(class, Holder::of_caller(caller))
    }

    fn take_from(&self, class: RateClass, holder: Option<Holder<'_>>) -> Result<Taken, Exceeded> {
        let (Some(table), Some(holder)) = (&self.classes[class as usize], holder) else { return Ok(Taken::default()) };
        let hash = self.hash(&holder);
        table.take(hash, self.now())?;
        Ok(if self.link.is_some() { Taken::of(class, hash) } else { Taken::default() })
    }

    /// Has a refusal written to the audit log, unless there were too many of its address.
    pub fn note_refusal(&self, ops: &Ops, refused: RefusedCall) {
        if refused.remote.is_none_or(|address| self.may_note(address)) {
            ops.note_refusal(refused);
        } else {
            ops.lose_refusal();
        }
    }

    /// Whether one more refusal of this address goes into the audit log.
    fn may_note(&self, address: IpAddr) -> bool {
        self.notes.as_ref().is_none_or(|table| self.take(table, Holder::of_address(address)).is_ok())
    }

    fn take(&self, table: &Table, holder: Holder<'_>) -> Result<(), Exceeded> {
        table.take(self.hash(&holder), self.now())
    }

    fn hash(&self, holder: &Holder<'_>) -> u64 {
        let mut hasher = self.hasher;
        holder.hash(&mut hasher);
        hasher.finish()
    }

    /// Nanoseconds since the start; there are enough of them for 500 years.
    fn now(&self) -> u64 {
        self.started.elapsed().as_nanos() as u64
    }
}

impl Table {
    /// `None` if there is no limit.
    fn of(rate: Rate, groups: usize) -> Option<Self> {
        let groups = (0..groups).map(|_| Default::default()).collect();
        Some(Self { cells: Cells::of(rate)?, groups, is_told: false })
    }

    fn take(&self, hash: u64, now: u64) -> Result<(), Exceeded> {
        let bucket = self.bucket(hash);
        bucket.take(self.cells, now).map_err(|wait| bucket.exceeded(wait, now))?;
        if self.is_told {
            bucket.untold.fetch_add(self.cells.call, Relaxed);
        }
        Ok(())
    }

    /// The bucket of this hash: its own, or the fullest of its group.
    fn bucket(&self, hash: u64) -> &Bucket {
        let group = &self.groups[(hash >> 32) as usize % self.groups.len()];
        let holder = hash | 1;
        let mut fullest = &group[0];
        for bucket in group {
            if bucket.holder.load(Relaxed) == holder {
                return bucket;
            }
            if bucket.full_at.load(Relaxed) < fullest.full_at.load(Relaxed) {
                fullest = bucket;
            }
        }
        fullest.holder.store(holder, Relaxed);
        fullest.told_until.store(0, Relaxed);
        fullest.untold.store(0, Relaxed);
        fullest
    }
}

impl Bucket {
    /// Takes a call, or says how long to wait for one.
    fn take(&self, cells: Cells, now: u64) -> Result<(), u64> {
        let mut full_at = self.full_at.load(Relaxed);
        loop {
            let after = full_at.max(now) + cells.call;
            if after - now > cells.full {
                return Err(after - now - cells.full);
            }
            match self.full_at.compare_exchange_weak(full_at, after, Relaxed, Relaxed) {
                Ok(_) => return Ok(()),
                Err(other) => full_at = other,
            }
        }
    }

    /// It is not full before this time.
    fn raise(&self, full_at: u64) {
        self.full_at.fetch_max(full_at, Relaxed);
    }

    /// One must wait so long.
    fn exceeded(&self, wait: u64, now: u64) -> Exceeded {
        Exceeded { retry_after: Duration::from_nanos(wait), is_news: self.tell(now) }
    }

    /// Whether a refusal now is news; the next ones are not for a while.
    fn tell(&self, now: u64) -> bool {
        let until = self.told_until.load(Relaxed);
        let next = now + WINDOW;
        now >= until && self.told_until.compare_exchange(until, next, Relaxed, Relaxed).is_ok()
    }
}

impl<'a> Holder<'a> {
    fn of_address(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.octets()),
            IpAddr::V6(address) => {
                let [network @ .., _, _, _, _, _, _, _, _] = address.octets();
                Self::V6(network)
            }
        }
    }

    fn of_caller(caller: &'a Caller) -> Option<Self> {
        match caller {
            Caller::Anonymous | Caller::Developer | Caller::Operator => None,
            Caller::Service(service) => Some(Self::Service(&service.name)),
            Caller::Granted(live) => Some(match &live.grant {
                Grant::Session { user_id, .. } => Self::User(user_id),
                Grant::ApiKey { id, .. } => Self::ApiKey(*id),
            }),
        }
    }
}
