//! Watches that are cut and taken up again, in the middle of a snapshot too: nothing is lost, nothing comes twice.

use super::{Known, Watch, deleted, from_token, named, renamed, snapshot};
use crate::harness::{Server, everything};

/// Seeded, so that a failure can be repeated.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

#[tokio::test]
pub(in crate::api) async fn a_watch_that_is_cut_a_hundred_times_knows_all_users_in_the_end() {
    const USERS: u64 = 400;
    let server = Server::dev();
    let mut users = server.users().await;
    let id = |number: u64| format!("u-{number:03}");
    for number in 0..USERS {
        users.create_user(named(&id(number))).await.unwrap();
    }
    let mut dice = Dice(7);
    let (mut known, mut token, mut complete, mut cuts) = (Known::default(), None::<String>, 0, 0);
    let mut live: Vec<u64> = (0..USERS).collect();
    let mut next = USERS;
    let mut changes_left = 600;
    while cuts < 100 || complete == 0 || changes_left > 0 {
        cuts += 1;
        // The users change while nobody watches, before and behind where the snapshot stands.
        let changes = dice.roll(12).min(changes_left);
        changes_left -= changes;
        for number in 0..changes {
            let at = dice.roll(live.len() as u64) as usize;
            match dice.roll(4) {
                0 => drop(users.delete_user(deleted(&id(live.swap_remove(at)))).await.unwrap()),
                1 => {
                    users.create_user(named(&id(next))).await.unwrap();
                    live.push(next);
                    next += 1;
                }
                _ => drop(users.update_user(renamed(&id(live[at]), &format!("{cuts}-{number}"))).await.unwrap()),
            }
        }
        // After the snapshot there are at least these to be read.
        let reads = if complete == 0 { 1 + dice.roll(20) } else { dice.roll(changes + 1) };
        let mut watch = Watch::start(&mut users, token.as_deref().map_or_else(snapshot, from_token)).await;
        for _ in 0..reads {
            let (now, event) = watch.next().await;
            token = Some(now);
            if known.take(event).is_some() {
                complete += 1;
                break;
            }
        }
    }
    assert_eq!(complete, 1, "a snapshot that goes on is complete once");
    let mut watch = Watch::start(&mut users, from_token(&token.unwrap())).await;
    users.create_user(named("the-last")).await.unwrap();
    while !known.0.contains_key("the-last") {
        known.take(watch.next().await.1);
    }
    let listed = everything(&mut users).await;
    assert_eq!(known.0.len(), listed.len());
    for user in listed {
        assert_eq!(known.0.get(&user.id), Some(&user));
    }
}

#[tokio::test]
async fn every_token_goes_on_with_exactly_what_followed_it() {
    let server = Server::dev();
    let mut users = server.users().await;
    let mut watch = Watch::start(&mut users, Default::default()).await;
    for number in 0..40 {
        users.create_user(named(&format!("u-{number}"))).await.unwrap();
    }
    let mut told = Vec::new();
    for _ in 0..40 {
        told.push(watch.next().await);
    }
    drop(watch);
    for (index, (token, _)) in told.iter().enumerate() {
        let mut again = Watch::start(&mut users, from_token(token)).await;
        for expected in &told[index + 1..] {
            assert_eq!(again.next().await, *expected, "with the same tokens too");
        }
    }
}
