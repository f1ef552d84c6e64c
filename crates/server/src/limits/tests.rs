use std::sync::Arc;

use uuid::Uuid;

use super::*;
use crate::{
    model::{PermissionSet, Role, SessionId, Timestamp},
    store::LiveGrants,
};

const SECOND: u64 = 1_000_000_000;

fn limits(read: Rate) -> Limits {
    let off = Rate { per_minute: 0, burst: 1 };
    Limits::new(&Rates { sign_in: off, sign_up: off, mail: off, read, write: off })
}

fn user(name: &str) -> UserId {
    UserId::parse(name).unwrap()
}

fn take(limits: &Limits, class: RateClass, user: &UserId, now: u64) -> Result<(), Exceeded> {
    let table = limits.classes[class as usize].as_ref().unwrap();
    table.take(limits.hash(&Holder::User(user)), now)
}

#[test]
fn a_bucket_gives_its_burst_and_then_its_rate() {
    let limits = limits(Rate { per_minute: 60, burst: 3 });
    let ada = user("ada");
    let take = |now| take(&limits, RateClass::Read, &ada, now);
    assert_eq!([take(0), take(0), take(0)], [Ok(()); 3]);
    let refused = |retry_after, is_news| Err(Exceeded { retry_after: Duration::from_nanos(retry_after), is_news });
    assert_eq!(take(0), refused(SECOND, true));
    // What is refused takes nothing, and is told once a minute.
    assert_eq!(take(SECOND / 4), refused(SECOND * 3 / 4, false));
    assert_eq!(take(SECOND), Ok(()));
    assert_eq!(take(SECOND), refused(SECOND, false));
    assert_eq!([take(60 * SECOND), take(60 * SECOND), take(60 * SECOND)], [Ok(()); 3]);
    assert_eq!(take(60 * SECOND), refused(SECOND, true));
}

#[test]
fn everybody_and_every_class_has_a_bucket() {
    let limits = limits(Rate { per_minute: 1, burst: 1 });
    let take = |address: &str| limits.take_from_address(RateClass::Read, address.parse().unwrap()).is_ok();
    assert!(take("192.0.2.1") && !take("192.0.2.1") && take("192.0.2.2"));
    assert!(!take("::ffff:192.0.2.1"), "the same address");
    assert!(take("2001:db8::1") && !take("2001:db8::2:1") && take("2001:db8:0:1::1"));
    let address = "192.0.2.1".parse().unwrap();
    assert!((0..9).all(|_| limits.take_from_address(RateClass::Write, address).is_ok()), "no limit");

    let grants = LiveGrants::default();
    let session = |number, name| {
        let id = SessionId(Uuid::from_u128(number));
        Grant::Session { id, user_id: user(name), role: Role::User, expires_at: Timestamp(0) }
    };
    let key = |number| Grant::ApiKey {
        id: ApiKeyId(Uuid::from_u128(number)),
        permissions: PermissionSet::ALL,
        created_by: None,
        expires_at: None,
    };
    let takes = |grant| {
        let caller = Caller::Granted(grants.admit(grants.ticket(), grant));
        limits.take_from_caller(RateClass::Read, &caller).is_ok()
    };
    assert!(takes(session(1, "ada")) && !takes(session(2, "ada")), "all sessions of a user have one");
    assert!(takes(session(3, "bea")) && takes(key(1)) && takes(key(2)) && !takes(key(2)));
    let service = |name: &str| {
        let service = crate::auth::Service { name: name.into(), permissions: PermissionSet::NONE };
        limits.take_from_caller(RateClass::Read, &Caller::Service(Arc::new(service))).is_ok()
    };
    assert!(service("a") && service("b") && !service("a"));
    for caller in [Caller::Anonymous, Caller::Developer, Caller::Operator] {
        assert!((0..9).all(|_| limits.take_from_caller(RateClass::Read, &caller).is_ok()));
    }
}

#[test]
fn when_all_buckets_are_taken_from_nobody_gains_by_it() {
    let limits = limits(Rate { per_minute: 60, burst: 100 });
    // Four times as many callers as there are buckets, each of whom would have a hundred calls to spare.
    let callers: Vec<UserId> = (0..4 * GROUPS * WAYS).map(|number| user(&format!("u{number}"))).collect();
    let mut taken = 0;
    for _ in 0..200 {
        for caller in &callers {
            taken += u64::from(take(&limits, RateClass::Read, caller, 0).is_ok());
        }
    }
    assert!(taken <= (GROUPS * WAYS) as u64 * 100, "{taken}");
}

#[test]
fn a_newcomer_waits_no_longer_than_the_class_has_anybody_wait() {
    let slow = Rate { per_minute: 1, burst: 10 };
    let rates =
        Rates { sign_in: slow, sign_up: slow, mail: slow, read: Rate { per_minute: 60, burst: 2 }, write: slow };
    let limits = Limits::new(&rates);
    let crowd: Vec<UserId> = (0..4 * GROUPS * WAYS).map(|number| user(&format!("u{number}"))).collect();
    // Everybody does everything else as often as they may, is refused, and that is noted: hours of waiting.
    for caller in &crowd {
        for class in [RateClass::SignIn, RateClass::SignUp, RateClass::Mail, RateClass::Write] {
            while take(&limits, class, caller, 0).is_ok() {}
        }
    }
    for number in 0..32 {
        // Networks of their own.
        let address = IpAddr::from((u128::try_from(number).unwrap() << 64).to_be_bytes());
        while limits.may_note(address) {}
    }
    for caller in crowd.iter().take(1_000) {
        assert_eq!([take(&limits, RateClass::Read, caller, 0), take(&limits, RateClass::Read, caller, 0)], [Ok(()); 2]);
    }
    // In a class that all others have emptied, one call is waited for, and not all of somebody's burst.
    for caller in &crowd {
        while take(&limits, RateClass::Read, caller, 0).is_ok() {}
    }
    for number in 0..1_000 {
        let newcomer = user(&format!("new{number}"));
        let refused = take(&limits, RateClass::Read, &newcomer, 0).unwrap_err();
        assert!(refused.is_news && refused.retry_after <= Duration::from_secs(1), "{refused:?}");
    }
}

#[test]
fn one_burst_is_one_burst_for_threads_that_meet() {
    let limits = limits(Rate { per_minute: 1, burst: 1_000 });
    let address = "192.0.2.1".parse().unwrap();
    let take = || (0..1_000).filter(|_| limits.take_from_address(RateClass::Read, address).is_ok()).count();
    let taken: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(take)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(taken, 1_000);
}

#[test]
fn other_servers_are_told_of_whoever_takes_much_and_what_they_took_is_owed() {
    let mut limits = limits(Rate { per_minute: 60, burst: 128 });
    limits.classes[RateClass::Read as usize].as_mut().unwrap().is_told = true;
    let (ada, bea) = (user("ada"), user("bea"));
    let take = |user: &UserId, now| take(&limits, RateClass::Read, user, now).is_ok();
    let table = limits.classes[RateClass::Read as usize].as_ref().unwrap();
    let told = |now| table.dues(now).iter().map(|due| due.taken / SECOND).collect::<Vec<_>>();
    assert!(take(&ada, 0) && take(&bea, 0));
    assert_eq!(told(0), [0; 0], "less than a 64th of a burst");
    assert!(take(&ada, 0));
    let dues = table.dues(0);
    assert_eq!(dues.iter().map(|due| due.taken).collect::<Vec<_>>(), [2 * SECOND]);
    assert_eq!(told(0), [0; 0], "once");
    // What has come back meanwhile is no news.
    assert_eq!(told(60 * SECOND), [0; 0]);
    assert!((0..3).all(|_| take(&bea, 100 * SECOND)));
    assert_eq!(told(102 * SECOND), [1]);

    // Others have taken a hundred from hers, and she three more here meanwhile: 25 of the burst are left.
    assert!((0..3).all(|_| take(&ada, 200 * SECOND)));
    table.heard(&dues, &[100_000_000], 200 * SECOND);
    assert_eq!((0..100).filter(|_| take(&ada, 200 * SECOND)).count(), 25);
    // Less than half is left: she is told of whenever there is something to tell.
    assert_eq!(told(200 * SECOND), [28]);
    assert!(take(&ada, 201 * SECOND));
    assert_eq!(told(201 * SECOND), [1]);
    // All together have taken ten more than there are: they are waited for.
    table.heard(&dues, &[138_000_000], 300 * SECOND);
    let refused = table.take(dues[0].hash, 300 * SECOND).unwrap_err();
    assert_eq!(refused.retry_after, Duration::from_secs(11));
}
