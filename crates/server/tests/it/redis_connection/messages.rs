//! Messages between servers, and the gaps that are told.

use roster_server::redis::{Channel, Heard, Redis, Subscription};

use super::connected;
use crate::redis_server::RedisServer;

/// The messages up to the last of these, and how often they began anew.
async fn heard(subscription: &mut Subscription, last: &str) -> (Vec<String>, usize) {
    let (mut messages, mut anew) = (Vec::new(), 0);
    loop {
        match subscription.next().await.unwrap() {
            Heard::Anew => anew += 1,
            Heard::Message(message) => messages.push(String::from_utf8(message.to_vec()).unwrap()),
        }
        if messages.last().is_some_and(|message| message == last) {
            return (messages, anew);
        }
    }
}

async fn say(redis: &Redis, channel: Channel, text: &str) {
    redis.publish(channel, text.into()).await.unwrap();
}

#[tokio::test]
async fn what_one_server_says_all_hear_in_order() {
    let server = RedisServer::start();
    let (here, there) = (connected(&server).await, connected(&server).await);
    let mut subscriptions = [&here, &there].map(|redis| redis.subscribe(Channel::Presence));
    for subscription in &mut subscriptions {
        assert_eq!(subscription.next().await, Some(Heard::Anew));
    }
    for number in 0..100 {
        say(&here, Channel::Presence, &number.to_string()).await;
        say(&here, Channel::Commits, "of another channel").await;
    }
    let said: Vec<_> = (0..100).map(|number| number.to_string()).collect();
    for subscription in &mut subscriptions {
        assert_eq!(heard(subscription, "99").await.0, said);
    }
    // Whoever comes later hears at once that it hears.
    assert_eq!(there.subscribe(Channel::Presence).next().await, Some(Heard::Anew));
}

#[tokio::test]
async fn a_connection_that_was_made_anew_is_told_to_each_subscriber() {
    let mut server = RedisServer::start();
    let redis = connected(&server).await;
    let mut subscription = redis.subscribe(Channel::Presence);
    assert_eq!(subscription.next().await, Some(Heard::Anew));
    for round in ["ended", "frozen", "killed"] {
        match round {
            "ended" => server.ask::<()>("CLIENT KILL TYPE pubsub"),
            "frozen" => {
                server.freeze();
                redis.hears().wait_for(|hears| !hears).await.unwrap();
                server.thaw();
            }
            _ => {
                server.kill();
                server.start_again();
            }
        }
        while subscription.next().await.unwrap() != Heard::Anew {}
        let redis = super::up(redis.clone()).await;
        say(&redis, Channel::Presence, round).await;
        assert_eq!(heard(&mut subscription, round).await.0, [round], "{round}");
    }
}

#[tokio::test]
async fn whoever_is_far_behind_begins_anew() {
    let server = RedisServer::start();
    let redis = connected(&server).await;
    let (mut slow, mut quick) = (redis.subscribe(Channel::Presence), redis.subscribe(Channel::Presence));
    for subscription in [&mut slow, &mut quick] {
        assert_eq!(subscription.next().await, Some(Heard::Anew));
    }
    for number in 0..10_000 {
        let text = number.to_string();
        say(&redis, Channel::Presence, &text).await;
        assert_eq!(heard(&mut quick, &text).await.0, [text]);
    }
    let (messages, anew) = heard(&mut slow, "9999").await;
    assert!(anew >= 1 && messages.len() <= 4_096, "{anew} {}", messages.len());
}
