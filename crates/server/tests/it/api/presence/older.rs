//! `NotificationService` without a package: the same clients, as its own clients expect to find them.

use roster_api::compat::notification::{
    GetClientStatusRequest as OldGet, MessageType as OldType, SendMessageRequest as OldMessage,
    notification_service_client::NotificationServiceClient as OldClient,
};
use tonic::transport::Channel;

use super::*;
use crate::harness::problem;

async fn statuses(old: &mut OldClient<Channel>, client_id: &str) -> Vec<(String, String)> {
    let answer = old.get_client_status(OldGet { client_id: client_id.into() }).await.unwrap().into_inner();
    answer.client_statuses.into_iter().collect()
}

#[tokio::test]
async fn both_services_tell_of_the_same_clients() {
    let server = Server::dev();
    let (mut old, mut new) = (OldClient::new(server.channel().await), notifications(&server).await);
    let is = |id: &str, status: &str| (id.to_owned(), status.to_owned());
    let send = |client_id: &str, what: OldType| OldMessage { client_id: client_id.into(), message_type: what.into() };
    assert_eq!(statuses(&mut old, "").await, []);
    for client in ["alice", "bob", "charlie"] {
        let taken = old.send_message(send(client, OldType::Hello)).await.unwrap().into_inner();
        assert_eq!((taken.success, taken.message), (true, format!("client {client} is connected")));
    }
    let taken = old.send_message(send("bob", OldType::Goodbye)).await.unwrap().into_inner();
    assert_eq!((taken.success, taken.message.as_str()), (true, "client bob is disconnected"));
    let all = [is("alice", "connected"), is("bob", "disconnected"), is("charlie", "connected")];
    assert_eq!(statuses(&mut old, "").await, all);
    assert_eq!(statuses(&mut old, "bob").await, all[1..2]);
    assert_eq!(statuses(&mut old, "nobody").await, []);

    assert_eq!(state(&mut new, "alice").await, (ClientStatus::Connected, 0));
    let line = Line::of(&mut new, "dora").await;
    assert_eq!(statuses(&mut old, "dora").await, [is("dora", "connected")]);
    drop(line);
    // More than are read from the table at a time.
    for client in 0..2_500 {
        say(&mut new, &format!("c{client:04}"), MessageType::Hello).await;
    }
    let all = statuses(&mut old, "").await;
    assert_eq!((all.len(), &all[1_500]), (2_504, &is("c1498", "connected")));
}

#[tokio::test]
async fn what_the_older_proto_has_not_is_refused_by_name() {
    let server = Server::dev();
    let mut old = OldClient::new(server.channel().await);
    for (client_id, number, field, told) in [
        ("", 1, "client_id", "is required"),
        ("alice", 0, "message_type", "0 is no message; use HELLO (1) or GOODBYE (2)"),
        ("alice", 3, "message_type", "3 is no message; use HELLO (1) or GOODBYE (2)"),
        ("alice", 99, "message_type", "99 is no message"),
    ] {
        let request = OldMessage { client_id: client_id.into(), message_type: number };
        let refused = problem(old.send_message(request).await);
        assert_eq!(refused.kind(), (Code::InvalidArgument, "VALIDATION_FAILED"));
        assert_eq!(refused.fields(), [field]);
        assert!(refused.violations[0].1.contains(told), "{refused:?}");
    }
    let long = OldGet { client_id: "x".repeat(129) };
    assert_eq!(problem(old.get_client_status(long).await).fields(), ["client_id"]);
}
