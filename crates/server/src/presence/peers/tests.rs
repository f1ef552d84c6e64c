//! Three nodes with clocks of their own, and a network that loses what it likes: they agree with a plain model while
//! everything arrives, and with one another once it does again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::*;
use crate::presence::{Changes, Filter, PresenceOptions, Said, TICK, Watch};

const TIMEOUT: u32 = 30;
const FORGET_AFTER: u32 = 25;

/// The same numbers in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as u32) % end
    }

    fn client(&mut self) -> String {
        format!("u{}/{}", self.below(5), self.below(5))
    }
}

/// What a node has of a client, as the simplest program would keep it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Plain {
    by_message: bool,
    streams: u16,
    last_seen: u32,
}

impl Plain {
    fn connected(self) -> bool {
        self.by_message || self.streams > 0
    }
}

struct Machine {
    id: u64,
    presence: Arc<Presence>,
    peers: Peers,
    plain: BTreeMap<String, Plain>,
    inbox: VecDeque<Vec<u8>>,
    /// Its clock is ahead by this.
    ahead: u32,
    /// It does nothing until then.
    frozen_until: u32,
    watch: Watch,
    seen: BTreeMap<String, bool>,
}

impl Machine {
    fn new(id: u64, now: u32, clients_max: usize) -> Self {
        let ahead = (id as u32) * 1_000;
        let now = Tick(now + ahead);
        let options = PresenceOptions {
            timeout: TICK * TIMEOUT,
            forget_after: TICK * FORGET_AFTER,
            clients_max,
            ..PresenceOptions::default()
        };
        let presence = Arc::new(Presence::new(&options));
        presence.pass(now);
        let mut peers = Peers::new(Arc::clone(&presence), id, options.timeout, now);
        peers.missed(now);
        let watch = presence.watch(Filter::default()).unwrap();
        let (plain, inbox, seen) = (BTreeMap::new(), VecDeque::new(), BTreeMap::new());
        let mut machine = Self { id, presence, peers, plain, inbox, ahead, frozen_until: 0, watch, seen };
        assert_eq!(machine.read(), [], "nobody is there");
        machine
    }

    /// What is told of clients that have changed, in order.
    fn read(&mut self) -> Vec<(String, bool)> {
        let mut told = Vec::new();
        while let Changes::Clients(clients) = self.watch.read().unwrap() {
            told.extend(clients.iter().map(|client| ((*client.id).to_owned(), client.connected)));
        }
        self.seen.extend(told.iter().cloned());
        told
    }

    /// Something happens to a client here. Gives who has said goodbye.
    fn apply(&mut self, id: &str, action: u32, goodbye: bool, now: u32) -> bool {
        let tick = Tick(now + self.ahead);
        let one = self.plain.entry(id.to_owned()).or_default();
        match action {
            0..=2 => {
                let said = [Said::Hello, Said::Heartbeat, Said::Goodbye][action as usize];
                (one.by_message, one.last_seen) = (said != Said::Goodbye, now);
                self.presence.say(id, said, None, tick).unwrap();
                said == Said::Goodbye
            }
            3 => {
                (one.streams, one.last_seen) = (one.streams + 1, now);
                self.presence.open(id, None, tick).unwrap();
                false
            }
            _ if one.streams > 0 => {
                one.streams -= 1;
                one.by_message &= !goodbye;
                self.presence.close(id, goodbye, tick);
                goodbye
            }
            _ => false,
        }
    }

    fn connected(&self) -> BTreeMap<String, u16> {
        let page = self.presence.page("", false, 10_000);
        page.into_iter().filter(|one| one.connected).map(|one| ((*one.id).to_owned(), one.streams)).collect()
    }
}

struct World {
    now: u32,
    random: Random,
    machines: Vec<Machine>,
    next_id: u64,
    /// Of a thousand messages to a node so many are lost.
    lost: u32,
    redis_is_up: bool,
}

impl World {
    fn new(seed: u64, clients_max: usize) -> Self {
        let machines = (1..=3).map(|id| Machine::new(id, 1, clients_max)).collect();
        Self { now: 1, random: Random(seed), machines, next_id: 4, lost: 0, redis_is_up: true }
    }

    /// Sends what each has to send, and maybe loses it.
    fn send(&mut self) {
        for from in 0..self.machines.len() {
            let now = Tick(self.now + self.machines[from].ahead);
            if self.machines[from].frozen_until > self.now {
                continue;
            }
            self.machines[from].peers.tell_changes(now);
            let messages = self.machines[from].peers.take_outbox();
            // Some of what was sent may have arrived all the same.
            let arrive = if self.redis_is_up { messages.len() } else { self.random.below(3) as usize };
            for message in messages.iter().take(arrive) {
                for machine in &mut self.machines {
                    if self.random.below(1_000) >= self.lost {
                        machine.inbox.push_back(message.clone());
                    }
                }
            }
            if !messages.is_empty() {
                self.machines[from].peers.sent(self.redis_is_up, now);
            }
        }
    }

    /// Has each that is awake read what has come; at most so much of it.
    fn deliver(&mut self, max: usize) {
        for machine in self.machines.iter_mut().filter(|machine| machine.frozen_until <= self.now) {
            for bytes in machine.inbox.drain(..max.min(machine.inbox.len())) {
                machine.peers.hear(&bytes, Tick(self.now + machine.ahead));
            }
        }
    }

    /// Until nothing is on the way.
    fn settle(&mut self) {
        loop {
            self.send();
            if self.machines.iter().all(|machine| machine.inbox.is_empty()) {
                return;
            }
            self.deliver(usize::MAX);
        }
    }

    fn tick(&mut self) {
        self.now += 1;
        for machine in self.machines.iter_mut().filter(|machine| machine.frozen_until <= self.now) {
            let now = Tick(self.now + machine.ahead);
            machine.presence.pass(now);
            machine.peers.pass(now);
            for one in machine.plain.values_mut().filter(|one| one.last_seen + TIMEOUT <= self.now) {
                one.by_message = false;
            }
        }
    }

    fn act(&mut self) {
        let (id, action) = (self.random.client(), self.random.below(6));
        let (at, goodbye) = (self.random.below(3) as usize, self.random.below(2) == 0);
        if self.machines[at].frozen_until <= self.now {
            self.machines[at].apply(&id, action, goodbye, self.now);
        }
    }

    /// Who is connected by what all nodes have themselves, with how many streams.
    fn union(&self) -> BTreeMap<String, u16> {
        let mut union = BTreeMap::new();
        for machine in &self.machines {
            for one in machine.presence.claimed_here("", 10_000) {
                *union.entry((*one.id).to_owned()).or_default() += one.claim.streams;
            }
        }
        union
    }

    /// Something goes wrong.
    fn harm(&mut self) {
        let at = self.random.below(3) as usize;
        match self.random.below(6) {
            // Its connection broke.
            0 => {
                let machine = &mut self.machines[at];
                machine.inbox.clear();
                machine.peers.missed(Tick(self.now + machine.ahead));
            }
            1 => self.machines[at] = Machine::new(self.next_id, self.now, 10_000),
            2 => self.machines[at].frozen_until = self.now + self.random.below(60),
            3 => self.lost = self.random.below(2) * 200,
            4 => self.redis_is_up = false,
            // Redis is there again, with nothing of what was.
            _ => {
                self.redis_is_up = true;
                for machine in &mut self.machines {
                    machine.inbox.clear();
                    machine.peers.missed(Tick(self.now + machine.ahead));
                }
            }
        }
        self.next_id += 1;
    }
}

#[test]
fn while_everything_arrives_nodes_agree_with_a_plain_model() {
    let mut world = World::new(1, 10_000);
    world.settle();
    let mut before: BTreeSet<String> = BTreeSet::new();
    for step in 0..20_000 {
        let mut changed = BTreeSet::new();
        if world.random.below(4) == 0 {
            world.tick();
        } else {
            let (id, action) = (world.random.client(), world.random.below(6));
            let (at, goodbye) = (world.random.below(3) as usize, world.random.below(2) == 0);
            let was_known = world.machines[at].presence.get(&id).is_some();
            if world.machines[at].apply(&id, action, goodbye, world.now) {
                for machine in &mut world.machines {
                    machine.plain.entry(id.clone()).or_default().by_message = false;
                }
                // Who says goodbye is known from then on.
                changed.extend((!was_known).then_some(id));
            }
        }
        world.settle();
        let all = || world.machines.iter().flat_map(|machine| &machine.plain);
        let mut plain: BTreeMap<String, u16> = BTreeMap::new();
        for (id, one) in all().filter(|(_, one)| one.connected()) {
            *plain.entry(id.clone()).or_default() += one.streams;
        }
        let now: BTreeSet<String> = plain.keys().cloned().collect();
        changed.extend(before.symmetric_difference(&now).cloned());
        let changed: Vec<(String, bool)> = changed.into_iter().map(|id| (id.clone(), now.contains(&id))).collect();
        before = now;
        for machine in &mut world.machines {
            assert_eq!(machine.connected(), plain, "node {} at step {step}", machine.id);
            let mut told = machine.read();
            told.sort();
            assert_eq!(told, changed, "every change once: node {} at step {step}", machine.id);
        }
        let known = |machine: &Machine| -> Vec<_> {
            machine.presence.page("", false, 1_000).into_iter().map(|one| one.id).collect()
        };
        assert!(world.machines.windows(2).all(|two| known(&two[0]) == known(&two[1])), "step {step}");
    }
    let readings: Vec<_> = world.machines.iter().map(|machine| machine.presence.stats.readings()).collect();
    assert_eq!(readings, [2, 2, 2], "nobody had to ask again");
}

#[test]
fn whatever_is_lost_nodes_agree_once_it_arrives_again() {
    for seed in 0..60 {
        let mut world = World::new(seed, 10_000);
        for _ in 0..1_500 {
            match world.random.below(100) {
                0 => world.harm(),
                1..=15 => world.tick(),
                16..=60 => world.act(),
                61..=80 => world.send(),
                _ => {
                    let max = world.random.below(9) as usize;
                    world.deliver(max);
                }
            }
        }
        (world.lost, world.redis_is_up) = (0, true);
        for machine in &mut world.machines {
            machine.frozen_until = 0;
        }
        // Until every silence is over and everything that is asked for has come, in which clients go on as they do.
        for _ in 0..TIMEOUT * 3 {
            world.tick();
            let (id, at) = (world.random.client(), world.random.below(3) as usize);
            world.machines[at].apply(&id, 1, false, world.now);
            world.settle();
        }
        let union = world.union();
        assert!(union.len() > 5, "{union:?}");
        for machine in &mut world.machines {
            assert_eq!(machine.connected(), union, "node {} of seed {seed}", machine.id);
            machine.read();
            let page = machine.presence.page("", false, 1_000);
            assert!(page.iter().all(|one| machine.seen.get(&*one.id) == Some(&one.connected)), "seed {seed}");
            let connected: usize = machine.seen.values().filter(|connected| **connected).count();
            assert_eq!(connected, union.len(), "the watch of node {} of seed {seed}", machine.id);
            // What a node has itself is what happened there; only a goodbye elsewhere takes something away.
            for (id, one) in &machine.plain {
                let own = machine.presence.claimed_here("", 1_000).into_iter().find(|own| *own.id == **id);
                let own = own.map(|own| own.claim).unwrap_or_default();
                assert_eq!(own.streams, one.streams, "{id} on node {} of seed {seed}", machine.id);
                assert!(!own.by_message || one.by_message, "{id} on node {} of seed {seed}", machine.id);
            }
        }
    }
}

/// Three nodes that know one another; who is connected on the first, by a stream and by a message.
fn three() -> World {
    let mut world = World::new(1, 10_000);
    world.settle();
    world.machines[0].apply("stream", 3, false, 1);
    world.machines[0].apply("message", 0, false, 1);
    world.settle();
    let both = BTreeMap::from([("message".into(), 0), ("stream".into(), 1)]);
    assert!(world.machines.iter().all(|machine| machine.connected() == both));
    world
}

#[test]
fn who_was_on_a_node_that_is_dead_is_gone_within_the_timeout() {
    let mut world = three();
    world.machines.remove(0);
    let died = world.now;
    while world.machines.iter().any(|machine| !machine.connected().is_empty()) {
        world.tick();
        world.settle();
        assert!(world.now <= died + TIMEOUT * 2 / 3);
    }
    assert_eq!(world.now, died + TIMEOUT * 2 / 3, "and no sooner: they may be about to come to another node");
    for machine in &mut world.machines {
        assert_eq!((machine.presence.claims_elsewhere(), machine.presence.stats.nodes()), (0, 1));
        let told = machine.read();
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told.iter().all(|(_, connected)| !connected));
        let seen = machine.presence.get("stream").unwrap().last_seen.unwrap();
        assert_eq!(seen, Tick(died + machine.ahead), "the node vouched for it until it died");
    }
}

#[test]
fn who_comes_to_another_node_in_time_was_never_gone() {
    let mut world = three();
    world.machines.iter_mut().for_each(|machine| drop(machine.read()));
    let tick = Tick(world.now + world.machines[0].ahead);
    world.machines[0].peers.rest(tick);
    // A drain ends streams, which is nothing that others should hear: their clients come back elsewhere.
    world.machines[0].apply("stream", 4, false, world.now);
    world.settle();
    world.machines.remove(0);
    for _ in 0..TIMEOUT / 3 {
        world.tick();
        world.settle();
    }
    let now = world.now;
    world.machines[0].apply("stream", 3, false, now);
    world.machines[1].apply("message", 1, false, now);
    for _ in 0..TIMEOUT / 2 {
        world.tick();
        world.settle();
        assert!(world.machines.iter().all(|machine| machine.connected().len() == 2));
    }
    assert!(world.machines.iter_mut().all(|machine| machine.read().is_empty()));
}

#[test]
fn a_node_that_slept_ends_nobody_and_is_heard_again() {
    let mut world = three();
    // Shorter than its lifetime: nobody notices. Longer: its clients are gone until it wakes.
    for (ticks, stays) in [(15, true), (TIMEOUT, false)] {
        let now = world.now;
        world.machines[0].frozen_until = now + ticks;
        for _ in 0..ticks - 1 {
            world.tick();
            world.settle_awake();
        }
        assert_eq!(world.machines[1].connected().contains_key("stream"), stays);
        // The first that it does when it wakes is to look who is silent: nothing that has come was read yet.
        world.machines[1].apply("other", 3, false, now);
        world.tick();
        let now = world.now;
        world.machines[0].apply("message", 1, false, now);
        let ends = world.machines[0].presence.claims_elsewhere();
        assert!(stays || ends > 0, "it has slept, and the others have not");
        world.settle();
        for machine in &world.machines {
            assert_eq!(machine.connected(), world.union(), "node {} after {ticks}", machine.id);
        }
    }
}

impl World {
    /// Until nothing is on the way to who is awake.
    fn settle_awake(&mut self) {
        loop {
            self.send();
            if self.machines.iter().all(|one| one.frozen_until > self.now || one.inbox.is_empty()) {
                return;
            }
            self.deliver(usize::MAX);
        }
    }
}

#[test]
fn a_goodbye_ends_what_was_said_anywhere_and_no_stream() {
    let mut world = three();
    let now = world.now;
    let goodbye =
        |machine: &Machine, id: &str| machine.presence.say(id, Said::Goodbye, None, Tick(now + machine.ahead)).unwrap();
    assert!(!goodbye(&world.machines[1], "message"), "the answer is what will be");
    assert!(goodbye(&world.machines[2], "stream"), "it has a stream");
    world.settle();
    assert!(world.machines.iter().all(|one| one.connected() == BTreeMap::from([("stream".to_owned(), 1)])));
    // Who comes again where it said goodbye is there.
    let machine = &world.machines[2];
    machine.presence.say("message", Said::Goodbye, None, Tick(now + machine.ahead)).unwrap();
    machine.presence.say("message", Said::Hello, None, Tick(now + machine.ahead)).unwrap();
    world.settle();
    assert!(world.machines.iter().all(|one| one.connected().contains_key("message")));
}

#[test]
fn a_node_that_comes_late_reads_many_clients_while_they_change() {
    const CLIENTS: u32 = 5_500;
    let mut world = World::new(5, 100_000);
    world.machines.truncate(2);
    world.settle();
    for client in 0..CLIENTS {
        world.machines[client as usize % 2].apply(&format!("c{client}"), client % 2 * 3, false, 1);
    }
    // What was told in this tick is not told again.
    world.tick();
    world.machines.push(Machine::new(9, world.now, 100_000));
    let mut rounds = 0;
    while world.machines[2].presence.stats.readings() < 2 {
        let client = world.random.below(CLIENTS);
        let (now, action) = (world.now, world.random.below(5));
        world.machines[client as usize % 2].apply(&format!("c{client}"), action, true, now);
        world.send();
        world.deliver(3);
        rounds += 1;
        assert!(rounds < 1_000);
    }
    world.settle();
    assert!(rounds > 5, "{rounds}");
    let union = world.union();
    assert!(union.len() > 5_000);
    assert!(world.machines.iter().all(|machine| machine.connected() == union));
}

#[test]
fn where_there_is_no_room_others_are_taken_in_when_there_is() {
    let mut world = World::new(1, 40);
    world.settle();
    for client in 0..40 {
        world.machines[0].apply(&format!("a{client}"), 3, false, 1);
    }
    world.settle();
    let now = world.now;
    let refused = world.machines[1].presence.say("b", Said::Hello, None, Tick(now + world.machines[1].ahead));
    assert_eq!(refused, Err(crate::presence::Full), "the clients of all nodes count");
    // On a node with less room than others.
    world.tick();
    let now = world.now;
    world.machines[1] = Machine::new(7, now, 30);
    world.settle();
    assert_eq!(world.machines[1].presence.len(), 30);
    for client in 0..20 {
        world.machines[0].apply(&format!("a{client}"), 4, true, now);
    }
    for _ in 0..FORGET_AFTER * 5 {
        world.tick();
        world.settle();
    }
    let union = world.union();
    assert_eq!(union.len(), 20);
    assert_eq!(world.machines[1].connected(), union);
}

#[test]
fn there_is_an_end_to_nodes_and_no_end_to_what_may_come() {
    let presence = Arc::new(Presence::new(&PresenceOptions::default()));
    let mut peers = Peers::new(Arc::clone(&presence), 1_000, TICK * TIMEOUT, Tick(1));
    for from in 0..300 {
        let body = Body::Beat { seq: 0, lifetime: u32::MAX, asks: false };
        peers.hear(&Message { from, body }.bytes(), Tick(1));
    }
    assert_eq!((presence.stats.nodes(), presence.stats.ignored()), (254, 46));
    for garbage in [&b""[..], b"\xff\xff\xff\xff", &[7; 1_000]] {
        peers.hear(garbage, Tick(1));
    }
    assert_eq!(presence.stats.ignored(), 49);
    let entry = Claimed {
        id: "ada".into(),
        claim: crate::presence::claim::Claim { streams: u16::MAX, by_message: true },
        goodbye: false,
        last_seen: Tick(0),
    };
    for from in 0..100 {
        let entry = Entry::of(&entry, Tick(u32::MAX));
        let body = Body::Part { seq: u64::MAX, after: "", clients: vec![entry], is_last: true };
        peers.hear(&Message { from, body }.bytes(), Tick(2));
        let body = Body::Changes { seq: u64::MAX, clients: vec![] };
        peers.hear(&Message { from, body }.bytes(), Tick(2));
    }
    let ada = presence.get("ada").unwrap();
    assert_eq!((ada.connected, ada.streams, presence.claims_elsewhere()), (true, u16::MAX, 100));
    for tick in 3..400_000 {
        if tick % 1_000 == 0 {
            peers.pass(Tick(tick));
        }
    }
    assert_eq!(presence.stats.nodes(), 254, "it slept all the time");
    (400_000..=800_000).step_by(5).for_each(|tick| peers.pass(Tick(tick)));
    assert_eq!((presence.stats.nodes(), presence.claims_elsewhere()), (0, 0), "no lifetime is longer than an hour");
    assert!(!presence.get("ada").unwrap().connected);
}
