//! Guesses that all servers count as one, in Redis.
//!
//! Each attempt is one script before its password is looked at, and one after: atomic, so that guesses on any number of
//! servers wait for each other as on one. Redis decides while it answers, by its own clock. What it says is kept here
//! too, and a lock is told to every server: when Redis goes away, each goes on from there. What is counted meanwhile is
//! told when it is back, and where it has lost what it knew, whoever asks next brings along what is known here. So no
//! lock ends because Redis goes away, comes back, or comes back empty; only what was right meanwhile it does not learn.
//!
//! A key that had failures and starts afresh stays for as long as a server may remember them, with none: so that what is
//! known here is not taken for what Redis has lost.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use super::{
    Attempt,
    local::{DELAY_FIRST, DELAY_MAX, Key, Kind, LONGEST_AFTER, Local, Standing, micros},
};
use crate::{
    auth::Locked,
    model::{Clock, Timestamp},
    redis::{Away, Channel, Heard, Purpose, Redis, Script, ScriptInvocation, State},
};

/// Keys that one script is told of.
const BATCH_MAX: usize = 200;

/// What all scripts begin with. All times are in microseconds. An entry has its failures, since when the first of them
/// counts, until when it is locked, whether somebody met that lock, and until when some server may remember failures of it
/// that do not count any more. Arguments: the channel, and for each key its name,
/// how long a failure counts, and how many are free.
///
/// A clock that was put back must not lock anybody out for longer.
const BEGINNING: &str = "
    local time = redis.call('TIME')
    local now = time[1] * 1000000 + time[2]
    local channel, longest, told = ARGV[1], tonumber(ARGV[2]), 0
    local function read(key, forgets)
        local found = redis.call('HMGET', key, 'failures', 'since', 'locked', 'met', 'stays')
        local failures = tonumber(found[1] or 0)
        local since = math.min(tonumber(found[2] or now), now)
        local forgotten = math.min(math.floor((now - since) / forgets), failures)
        return {
            known = found[1] and true or false,
            failures = failures - forgotten,
            since = since + forgotten * forgets,
            locked = math.min(tonumber(found[3] or 0), now + longest),
            met = found[4] == '1',
            stays = tonumber(found[5] or 0),
        }
    end
    local function ends(entry, forgets)
        return math.max(entry.locked, entry.since + entry.failures * forgets)
    end
    local function write(key, entry, forgets)
        redis.call('HSET', key, 'failures', entry.failures, 'since', string.format('%.0f', entry.since),
            'locked', string.format('%.0f', entry.locked), 'met', entry.met and 1 or 0,
            'stays', string.format('%.0f', entry.stays))
        redis.call('PEXPIRE', key, math.ceil((math.max(ends(entry, forgets), entry.stays, now) - now) / 1000) + 1)
    end
    local function standing(entry)
        return math.floor(entry.failures), math.floor(now - entry.since), math.max(math.ceil(entry.locked - now), 0)
    end
    local function tell(name, entry)
        local failures, age, locked = standing(entry)
        redis.call('PUBLISH', channel, string.format('%s %d %.0f %.0f', name, failures, age, locked))
        told = told + 1
    end
    local function afresh(key, name, forgets, stays)
        local entry = {failures = 0, since = now, locked = 0, met = false, stays = stays}
        write(key, entry, forgets)
        tell(name, entry)
    end
    local function take_in(entry, failures, age, locked)
        if failures > entry.failures then
            entry.failures, entry.since = failures, now - age
        end
        if locked > 0 and now + locked > entry.locked then
            entry.locked = now + math.min(locked, longest)
        end
    end
";

/// Counts an attempt, or says which key is locked, and whether nobody has met that lock before. Where it is counted, it gives
/// 0, how many keys others were told of, and how each key stands; else the key's place, the answer, and how it stands.
/// More arguments: the first delay and after how many doublings it is the longest; for each key how it stands here, and
/// whether that is known here alone.
static BEGIN: LazyLock<Script> = LazyLock::new(|| {
    script(
        "local first, longest_after, entries = tonumber(ARGV[3]), tonumber(ARGV[4]), {}
        local function argument(number, place) return ARGV[4 + (number - 1) * 7 + place] end
        for number, key in ipairs(KEYS) do
            local entry = read(key, tonumber(argument(number, 2)))
            if not entry.known or argument(number, 7) == '1' then
                take_in(entry, tonumber(argument(number, 4)), tonumber(argument(number, 5)), tonumber(argument(number, 6)))
            end
            entries[number] = entry
        end
        for number, entry in ipairs(entries) do
            if entry.locked > now then
                local is_first = not entry.met
                entry.met = true
                write(KEYS[number], entry, tonumber(argument(number, 2)))
                return {number, is_first and 1 or 0, standing(entry)}
            end
        end
        local answer = {0, 0}
        for number, entry in ipairs(entries) do
            local forgets, free = tonumber(argument(number, 2)), tonumber(argument(number, 3))
            if entry.failures == 0 then entry.since = now end
            entry.failures = entry.failures + 1
            local doublings = entry.failures - free
            if doublings >= 0 then
                entry.locked = now + math.min(first * 2 ^ doublings, longest)
                entry.met = false
                entry.failures = math.min(entry.failures, free + longest_after)
                tell(argument(number, 1), entry)
            end
            write(KEYS[number], entry, forgets)
            for _, part in ipairs({standing(entry)}) do answer[#answer + 1] = part end
        end
        answer[2] = told
        return answer",
    )
});

/// Takes an attempt back, of keys that it was counted for; the first of them starts afresh if it was right. More
/// arguments: whether it was.
static END: LazyLock<Script> = LazyLock::new(|| {
    script(
        "local was_right = ARGV[3] == '1'
        local function argument(number, place) return ARGV[3 + (number - 1) * 3 + place] end
        for number, key in ipairs(KEYS) do
            local name, forgets, free = argument(number, 1), tonumber(argument(number, 2)), tonumber(argument(number, 3))
            local entry = read(key, forgets)
            local failures, remembered = entry.failures, ends(entry, forgets)
            entry.failures = math.max(failures - 1, 0)
            if was_right and number == 1 then entry.failures = 0 end
            if entry.failures == 0 and failures <= 1 and failures < free and entry.stays <= now then
                -- No other server has heard of it.
                redis.call('DEL', key)
            elseif entry.failures == 0 then
                afresh(key, name, forgets, math.max(remembered, entry.stays))
            else
                if entry.failures < free then entry.locked = 0 end
                write(key, entry, forgets)
                if failures >= free then tell(name, entry) end
            end
        end
        return told",
    )
});

/// Has keys start afresh, whatever any server knows of them. More arguments: after how many doublings the delay is the
/// longest.
static FORGET: LazyLock<Script> = LazyLock::new(|| {
    script(
        "for number, key in ipairs(KEYS) do
            local place = 3 + (number - 1) * 3
            local most = tonumber(ARGV[place + 3]) + tonumber(ARGV[3])
            local forgets = tonumber(ARGV[place + 2])
            afresh(key, ARGV[place + 1], forgets, now + most * forgets)
        end
        return told",
    )
});

/// Takes in how keys stand on a server that could not tell before. More arguments: for each key how it stands.
static TELL: LazyLock<Script> = LazyLock::new(|| {
    script(
        "for number, key in ipairs(KEYS) do
            local place = 2 + (number - 1) * 6
            local forgets = tonumber(ARGV[place + 2])
            local entry = read(key, forgets)
            take_in(entry, tonumber(ARGV[place + 4]), tonumber(ARGV[place + 5]), tonumber(ARGV[place + 6]))
            write(key, entry, forgets)
            if entry.locked > now then tell(ARGV[place + 1], entry) end
        end
        return told",
    )
});

fn script(text: &str) -> Script {
    Script::new(&format!("{BEGINNING}{text}"))
}

/// The way to what all servers count.
pub(super) struct Shared {
    redis: Redis,
    local: Arc<Local>,
}

impl Shared {
    pub(super) fn new(redis: Redis, local: Arc<Local>) -> Self {
        Self { redis, local }
    }

    /// Counts an attempt with all servers, or says how long it must wait.
    pub(super) async fn begin(&self, attempt: &Attempt, now: Timestamp) -> Result<Result<(), Locked>, Away> {
        let mut script = self.prepare(&BEGIN);
        script.arg(micros(DELAY_FIRST)).arg(LONGEST_AFTER);
        let keys: Vec<Key> = attempt.keys().collect();
        for key in &keys {
            let (standing, is_ahead) = self.local.standing(*key, now);
            self.put(&mut script, *key);
            put_standing(&mut script, standing);
            script.arg(u8::from(is_ahead));
        }
        let answer: Vec<u64> = self.redis.run(Purpose::Guess, script).await?;
        let [number, more, standings @ ..] = answer.as_slice() else { return Err(Away) };
        let mut standings = standings.chunks_exact(3).map(standing_of);
        if *number == 0 {
            self.redis.said(Channel::Lockouts, *more);
            for (key, standing) in keys.iter().zip(standings) {
                self.local.take_in(*key, standing, now);
            }
            return Ok(Ok(()));
        }
        let locked_key = usize::try_from(*number - 1).ok().and_then(|place| keys.get(place));
        let (Some(key), Some(standing)) = (locked_key, standings.next()) else { return Err(Away) };
        self.local.take_in(*key, standing, now);
        Ok(Err(Locked { retry_after: standing.locked, first: *more == 1 }))
    }

    /// It was right.
    pub(super) async fn succeeded(&self, attempt: &Attempt) {
        let mut script = self.prepare(&END);
        script.arg(1);
        self.put(&mut script, attempt.account);
        if let Some(address) = attempt.address.filter(|_| attempt.is_shared) {
            self.put(&mut script, address);
        }
        self.run(script).await;
    }

    /// It was not looked at.
    pub(super) async fn unjudged(&self, attempt: &Attempt) {
        let mut script = self.prepare(&END);
        script.arg(0);
        for key in attempt.keys() {
            self.put(&mut script, key);
        }
        self.run(script).await;
    }

    /// The key starts afresh.
    pub(super) async fn forget(&self, key: Key) {
        let mut script = self.prepare(&FORGET);
        script.arg(LONGEST_AFTER);
        self.put(&mut script, key);
        self.run(script).await;
    }

    /// See [`Attempts::keep_in_step`](super::Attempts::keep_in_step).
    pub(super) async fn keep_in_step(&self, clock: &dyn Clock) {
        let hear = async {
            let mut locks = self.redis.subscribe(Channel::Lockouts);
            while let Some(heard) = locks.next().await {
                // What was missed is heard with the next guess.
                if let Heard::Message(message) = heard
                    && let Some((key, standing)) = parse(&message)
                {
                    self.local.take_in(key, standing, clock.now());
                }
            }
        };
        let tell = async {
            let mut state = self.redis.state();
            while state.wait_for(|state| matches!(state, State::Up(_))).await.is_ok() {
                self.tell_ahead(clock).await;
                // It is told again with every ping.
                if state.changed().await.is_err() {
                    return;
                }
            }
        };
        tokio::join!(hear, tell);
    }

    /// Tells what was counted here alone.
    async fn tell_ahead(&self, clock: &dyn Clock) {
        let ahead = self.local.take_ahead(clock.now());
        for (number, batch) in ahead.chunks(BATCH_MAX).enumerate() {
            let mut script = self.prepare(&TELL);
            for (key, standing) in batch {
                self.put(&mut script, *key);
                put_standing(&mut script, *standing);
            }
            let Ok(told) = self.redis.work(Purpose::Guess, script).await else {
                // With the next ping that is answered.
                self.local.put_ahead(ahead[number * BATCH_MAX..].iter().map(|(key, _)| *key));
                return;
            };
            self.redis.said(Channel::Lockouts, told);
        }
    }

    fn prepare(&self, script: &'static Script) -> ScriptInvocation<'static> {
        let mut script = script.prepare_invoke();
        script.arg(self.redis.channel(Channel::Lockouts)).arg(micros(DELAY_MAX));
        script
    }

    /// Names a key. All are in one slot of a cluster, because a script needs two of them.
    fn put(&self, script: &mut ScriptInvocation<'static>, key: Key) {
        let name = name_of(key);
        let free = key.kind.free(self.local.limits).get();
        script.key(self.redis.key(format_args!("{{guesses}}:{name}")));
        script.arg(name).arg(micros(key.kind.forgets())).arg(free);
    }

    /// For what nobody can do anything about if it fails: it errs to the side of a lock.
    async fn run(&self, script: ScriptInvocation<'static>) {
        if let Ok(told) = self.redis.run(Purpose::Guess, script).await {
            self.redis.said(Channel::Lockouts, told);
        }
    }
}

fn put_standing(script: &mut ScriptInvocation<'static>, standing: Standing) {
    script.arg(standing.failures).arg(micros(standing.age)).arg(micros(standing.locked));
}

fn standing_of(parts: &[u64]) -> Standing {
    let at = |place: usize| parts.get(place).copied().unwrap_or_default();
    Standing {
        failures: u32::try_from(at(0)).unwrap_or(u32::MAX),
        age: Duration::from_micros(at(1)),
        locked: Duration::from_micros(at(2)),
    }
}

/// What a key is called in Redis.
fn name_of(key: Key) -> String {
    let kind = match key.kind {
        Kind::Account => "account",
        Kind::Address => "address",
    };
    format!("{kind}:{:032x}", u128::from_be_bytes(key.digest))
}

/// What a server has told of a key: its name, failures, age and lock.
fn parse(message: &[u8]) -> Option<(Key, Standing)> {
    let mut words = std::str::from_utf8(message).ok()?.split(' ');
    let (kind, digest) = words.next()?.split_once(':')?;
    let kind = match kind {
        "account" => Kind::Account,
        "address" => Kind::Address,
        _ => return None,
    };
    let digest = u128::from_str_radix(digest, 16).ok()?.to_be_bytes();
    let parts: Vec<u64> = words.map(|word| word.parse().ok()).collect::<Option<_>>()?;
    (parts.len() == 3).then(|| (Key { kind, digest }, standing_of(&parts)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_heard_and_nothing_else() {
        let key = Key { kind: Kind::Account, digest: [7; 16] };
        let standing = Standing { failures: 6, age: Duration::from_secs(1), locked: Duration::from_secs(2) };
        let message = format!("{} 6 1000000 2000000", name_of(key));
        assert_eq!(parse(message.as_bytes()), Some((key, standing)));
        for other in ["", "account:07", "user:07 1 1 1", "account:x 1 1 1", "account:07 1 1", "account:07 1 -1 1", "a"]
        {
            assert_eq!(parse(other.as_bytes()), None, "{other}");
        }
        assert_eq!(parse(&[0xff]), None);
    }
}
