//! The table against a plain map, watches that lag, and every bound.

use std::{
    collections::{BTreeMap, BTreeSet},
    thread,
};

use super::*;

/// The same numbers in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as u32) % end
    }
}

/// A client as the simplest program would keep it.
#[derive(Clone, Debug, PartialEq)]
struct Plain {
    by_message: bool,
    streams: u16,
    last_seen: u32,
    changed_at: u32,
}

impl Plain {
    fn connected(&self) -> bool {
        self.by_message || self.streams > 0
    }
}

fn options(timeout: u32, forget_after: u32, clients_max: usize) -> PresenceOptions {
    PresenceOptions { timeout: TICK * timeout, forget_after: TICK * forget_after, clients_max, ..Default::default() }
}

/// What every client is told to be, for who has read all.
fn read_all(watch: &mut Watch, seen: &mut BTreeMap<String, bool>) {
    loop {
        match watch.read().unwrap() {
            Changes::Clients(clients) => {
                seen.extend(clients.into_iter().map(|client| (client.id.as_ref().to_owned(), client.connected)));
            }
            Changes::UpToDate => return,
        }
    }
}

/// What happened to a client at a tick.
fn apply(presence: &Presence, plain: &mut BTreeMap<String, Plain>, random: &mut Random, now: u32) {
    let id = format!("u{}/{}", random.below(9), random.below(9));
    let action = random.below(6);
    let known = plain.contains_key(&id);
    let entry = || Plain { by_message: false, streams: 0, last_seen: now, changed_at: now };
    let before = plain.get(&id).is_some_and(Plain::connected);
    match action {
        0..=2 => {
            let said = [Said::Hello, Said::Goodbye, Said::Heartbeat][action as usize];
            let one = plain.entry(id.clone()).or_insert_with(entry);
            (one.by_message, one.last_seen) = (said != Said::Goodbye, now);
            assert_eq!(presence.say(&id, said, None, Tick(now)), Ok(one.connected()));
        }
        3 => {
            let one = plain.entry(id.clone()).or_insert_with(entry);
            (one.streams, one.last_seen) = (one.streams + 1, now);
            presence.open(&id, None, Tick(now)).unwrap();
        }
        4 if plain.get(&id).is_some_and(|one| one.streams > 0) => {
            let goodbye = random.below(2) == 0;
            let one = plain.get_mut(&id).unwrap();
            one.streams -= 1;
            one.by_message &= !goodbye;
            presence.close(&id, goodbye, Tick(now));
        }
        _ => assert_eq!(presence.say(&id, Said::Ping, None, Tick(now)), Ok(known && before)),
    }
    if let Some(one) = plain.get_mut(&id).filter(|one| one.connected() != before) {
        one.changed_at = now;
    }
}

fn pass(plain: &mut BTreeMap<String, Plain>, timeout: u32, forget_after: u32, now: u32) {
    for one in plain.values_mut().filter(|one| one.by_message && one.last_seen + timeout <= now) {
        one.by_message = false;
        if one.streams == 0 {
            one.changed_at = now;
        }
    }
    plain.retain(|_, one| one.connected() || one.changed_at + forget_after > now);
}

#[test]
fn random_steps_agree_with_a_plain_map() {
    // The longer times go round the wheel more than once.
    for (timeout, forget_after) in [(7, 30), (40, 40), (600, 1_300)] {
        let mut random = Random(u64::from(timeout));
        let presence = Arc::new(Presence::new(&options(timeout, forget_after, 1_000)));
        let mut plain = BTreeMap::new();
        let mut watches: Vec<_> = ["", "u3/", "u"]
            .map(|prefix| {
                (prefix, presence.watch(Filter { prefix: Some(prefix.into()), ..Filter::default() }).unwrap())
            })
            .into_iter()
            .map(|(prefix, watch)| (prefix, watch, BTreeMap::new()))
            .collect();
        let mut now = 1;
        for step in 0..12_000 {
            // Mostly slowly, and at times not for long: clients must come to be forgotten.
            if random.below(3) == 0 {
                let to = now + if random.below(500) == 0 { 3_000 } else { 1 };
                now = to;
                presence.pass(Tick(now));
                pass(&mut plain, timeout, forget_after, now);
            } else {
                apply(&presence, &mut plain, &mut random, now);
            }
            if step % 50 == 0 {
                agree(&presence, &plain, &mut random);
                for (prefix, watch, seen) in &mut watches {
                    read_all(watch, seen);
                    let connected = |(id, _): &(&String, &Plain)| id.starts_with(&**prefix);
                    for (id, one) in plain.iter().filter(connected) {
                        assert_eq!(seen.get(id), Some(&one.connected()), "{id} as {prefix:?} sees it");
                    }
                    assert!(seen.keys().all(|id| id.starts_with(&**prefix)));
                }
            }
        }
    }
}

/// The table shows what the plain map has, as a whole, from anywhere, and one by one.
fn agree(presence: &Presence, plain: &BTreeMap<String, Plain>, random: &mut Random) {
    assert_eq!(presence.len(), plain.len());
    let from = format!("u{}/{}", random.below(9), random.below(9));
    for (from, included, limit) in [("", false, 1_000), (&from, true, 5), (&from, false, 40)] {
        let page = presence.page(from, included, limit);
        let expected: Vec<_> =
            plain.iter().filter(|(id, _)| &***id > from || (included && **id == from)).take(limit).collect();
        assert_eq!(page.len(), expected.len());
        for (client, (id, one)) in page.iter().zip(expected) {
            let shown = (&*client.id, client.connected, client.streams, client.last_seen);
            assert_eq!(shown, (&**id, one.connected(), one.streams, Some(Tick(one.last_seen))));
            assert_eq!(presence.get(id).as_ref(), Some(client));
        }
    }
}

#[test]
fn a_watch_that_is_not_read_keeps_little_and_catches_up() {
    let presence = Arc::new(Presence::new(&options(100, 10_000, 100_000)));
    let mut all = presence.watch(Filter::default()).unwrap();
    let mut seen = BTreeMap::new();
    read_all(&mut all, &mut seen);
    assert!(seen.is_empty() && all.has_told_all());
    for tick in 1..=3 {
        for client in 0..20_000 {
            let said = if (client + tick) % 2 == 0 { Said::Hello } else { Said::Goodbye };
            presence.say(&format!("c{client}"), said, None, Tick(tick)).unwrap();
        }
    }
    read_all(&mut all, &mut seen);
    assert_eq!(seen.len(), 20_000);
    assert!((0..20_000).all(|client| seen[&format!("c{client}")] == ((client + 3) % 2 == 0)));
    // Nothing is told again once all is told.
    seen.clear();
    read_all(&mut all, &mut seen);
    assert!(seen.is_empty());
}

#[test]
fn who_cannot_catch_up_is_told_so() {
    let presence = Arc::new(Presence::new(&options(5, 5, 100_000)));
    let mut watch = presence.watch(Filter::default()).unwrap();
    let mut seen = BTreeMap::new();
    read_all(&mut watch, &mut seen);
    for client in 0..5_000 {
        presence.say(&format!("c{client}"), Said::Hello, None, Tick(1)).unwrap();
    }
    (2..30).for_each(|tick| presence.pass(Tick(tick)));
    assert!(presence.is_empty(), "{}", presence.len());
    assert!(matches!(watch.read(), Err(Lagged)));
}

#[test]
fn who_is_forgotten_during_a_walk_makes_the_watch_lag() {
    let presence = Arc::new(Presence::new(&options(5, 5, 100_000)));
    let mut watch = presence.watch(Filter::default()).unwrap();
    read_all(&mut watch, &mut BTreeMap::new());
    for client in 0..5_000 {
        presence.say(&format!("c{client}"), Said::Hello, None, Tick(1)).unwrap();
    }
    // The walk begins and has told some of them when the others go.
    for _ in 0..2 {
        assert!(matches!(watch.read(), Ok(Changes::Clients(_))));
    }
    (2..30).for_each(|tick| presence.pass(Tick(tick)));
    assert!(presence.is_empty(), "{}", presence.len());
    let lagged = (0..100).map(|_| watch.read()).find(|read| !matches!(read, Ok(Changes::Clients(_))));
    assert!(matches!(lagged, Some(Err(Lagged))), "{lagged:?}");
}

#[test]
fn watches_hear_of_their_own_clients_alone() {
    let presence = Arc::new(Presence::new(&options(100, 100, 100)));
    let ids = |ids: &[&str]| ids.iter().map(|id| Box::from(*id)).collect::<BTreeSet<_>>();
    let filters = [
        (Filter { ids: ids(&["ada", "bea/1"]), prefix: None }, vec!["ada", "bea/1"]),
        (Filter { ids: ids(&["ada"]), prefix: Some("bea/".into()) }, vec!["ada", "bea/1", "bea/2"]),
        (Filter { ids: ids(&[]), prefix: Some("be".into()) }, vec!["bea", "bea/1", "bea/2"]),
        (Filter::default(), vec!["ada", "ada/1", "bea", "bea/1", "bea/2"]),
    ];
    // Before there is anybody, and after.
    let come = || {
        for id in ["ada", "ada/1", "bea", "bea/1", "bea/2"] {
            presence.say(id, Said::Hello, None, Tick(1)).unwrap();
        }
    };
    let told = |watch: &mut Watch| {
        let mut seen = BTreeMap::new();
        read_all(watch, &mut seen);
        seen.into_keys().collect::<Vec<_>>()
    };
    let mut early: Vec<_> = filters.iter().map(|(filter, _)| presence.watch(filter.clone()).unwrap()).collect();
    early.iter_mut().for_each(|watch| assert!(told(watch).is_empty()));
    come();
    for ((filter, expected), early) in filters.iter().zip(&mut early) {
        assert_eq!(told(early), *expected, "{filter:?}");
        assert_eq!(told(&mut presence.watch(filter.clone()).unwrap()), *expected, "{filter:?}");
    }
    drop(early);
    assert!(presence.watches.is_empty(), "a watch that is gone is forgotten");
}

#[test]
fn there_is_an_end_to_clients_devices_streams_and_watches() {
    let presence = Arc::new(Presence::new(&options(100, 10_000, 300)));
    let hello = |id: &str, quota| presence.say(id, Said::Hello, quota, Tick(1));
    for device in 0..DEVICES_PER_USER_MAX {
        assert_eq!(hello(&format!("ada/{device}"), Some("ada/")), Ok(true));
    }
    assert_eq!(hello("ada/one more", Some("ada/")), Err(Full));
    assert_eq!(presence.open("ada/one more", Some("ada/"), Tick(1)), Err(Full));
    // Those that she has go on, she herself has room, and who speaks for all is not bound.
    assert_eq!(
        (hello("ada/7", Some("ada/")), hello("ada", None), hello("ada/x", None)),
        (Ok(true), Ok(true), Ok(true))
    );
    while presence.len() < 300 {
        hello(&format!("c{}", presence.len()), None).unwrap();
    }
    assert_eq!(hello("too many", None), Err(Full));
    assert_eq!(presence.say("too many", Said::Goodbye, None, Tick(1)), Ok(false));
    assert_eq!(presence.len(), 300);
    // Where there is no room, who is gone is not remembered for long.
    assert_eq!(presence.say("ada/7", Said::Goodbye, None, Tick(1)), Ok(false));
    (2..=102).for_each(|tick| presence.pass(Tick(tick)));
    assert_eq!(hello("too many", None), Ok(true));

    for _ in 0..STREAMS_PER_CLIENT_MAX {
        presence.open("ada", None, Tick(103)).unwrap();
    }
    assert_eq!(presence.open("ada", None, Tick(103)), Err(Full));
    let ids = |range: std::ops::Range<usize>| range.map(|id| id.to_string().into()).collect();
    let large = Filter { ids: ids(0..WATCHED_MAX - 1), prefix: None };
    let watch = presence.watch(large).unwrap();
    assert!(presence.watch(Filter::default()).is_err());
    drop(watch);
    assert!(presence.watch(Filter::default()).is_ok());
}

#[test]
fn threads_leave_the_table_as_if_they_had_taken_turns() {
    let presence = Arc::new(Presence::new(&options(1_000, 1_000, 1_000)));
    let mut watch = presence.watch(Filter::default()).unwrap();
    thread::scope(|scope| {
        for seed in 0..4 {
            let presence = Arc::clone(&presence);
            scope.spawn(move || {
                let mut random = Random(seed);
                for _ in 0..20_000 {
                    let id = format!("c{}", random.below(20));
                    match random.below(3) {
                        0 => drop(presence.say(&id, Said::Hello, None, Tick(1))),
                        1 => drop(presence.say(&id, Said::Goodbye, None, Tick(1))),
                        _ => {
                            presence.open(&id, None, Tick(1)).unwrap();
                            presence.close(&id, false, Tick(1));
                        }
                    }
                }
            });
        }
    });
    let mut seen = BTreeMap::new();
    read_all(&mut watch, &mut seen);
    let table = presence.page("", false, 1_000);
    assert_eq!((table.len(), presence.len(), seen.len()), (20, 20, 20));
    assert!(table.iter().all(|client| client.streams == 0 && seen[&*client.id] == client.connected));
}
