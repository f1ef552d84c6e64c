//! A cluster of three nodes.

use roster_server::redis::{Channel, Heard, OpenError, Purpose, RedisOptions};

use super::{count, options, start, up};
use crate::redis_server::RedisServer;

fn of_cluster(urls: &str) -> RedisOptions {
    RedisOptions { is_cluster: true, ..options(urls) }
}

#[tokio::test]
async fn a_cluster_is_used_as_one_server_is() {
    let nodes = RedisServer::cluster().await;
    // The first of those that are named need not be there.
    let urls = format!("redis://127.0.0.1:1,{},{}", nodes[1].addr, nodes[2].addr);
    let redis = up(start(of_cluster(&urls)).await.unwrap()).await;
    let mut subscription = redis.subscribe(Channel::Presence);
    assert_eq!(subscription.next().await, Some(Heard::Anew));
    for number in 0..30 {
        assert_eq!(count(&redis, &format!("a:{number}")).await, Ok(1));
    }
    assert!(nodes.iter().all(|node| node.ask::<u64>("DBSIZE") > 0), "every node has some of the keys");

    for list in 0..3 {
        let key = redis.key(format_args!("list:{{{list}}}"));
        let mut commands = redis::pipe();
        for number in 0..100 {
            commands.cmd("RPUSH").arg(&key).arg(number);
        }
        commands.cmd("LRANGE").arg(&key).arg(0).arg(-1);
        let mut answers = redis.batch(Purpose::Presence, commands).await.unwrap();
        let list: Vec<i32> = redis::from_redis_value(answers.remove(100)).unwrap();
        assert!(list.iter().copied().eq(0..100), "{list:?}");
    }

    redis.publish(Channel::Presence, b"hello".to_vec()).await.unwrap();
    assert_eq!(subscription.next().await, Some(Heard::Message(b"hello".as_slice().into())));
}

#[tokio::test]
async fn a_node_of_a_cluster_is_no_server_of_its_own() {
    for node in &RedisServer::cluster().await {
        let error = start(options(&node.url())).await.err().unwrap();
        assert!(matches!(error, OpenError::Cluster { .. }), "{error}");
        assert_eq!(error.mend(), "set redis_cluster = true");
    }
}
