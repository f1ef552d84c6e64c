//! A disk that takes no more: writes are refused, reads go on, nothing acknowledged is lost, and writes come back.
//!
//! The limit on the size of files stands for the full disk, because everybody may set it: `write` fails in the same
//! place.

use std::path::Path;

use roster_api::{
    Error,
    client::Transport,
    user::v1::{CreateUserRequest, GetUserRequest, SearchUsersRequest, user_service_client::UserServiceClient},
};
use rustix::process::{Resource, getrlimit, prlimit};
use tonic::Code;

use crate::{
    database::{assert_consistent, open_copy, users},
    process::{ROSTER, command},
    server::{Server, new_user},
};

/// Size that files may have: room for some dozens of the users below in the write-ahead log.
const FILE_MAX_BYTES: u64 = 2 << 20;
/// More users than fit.
const USERS_MAX: usize = 2_000;

type Users = UserServiceClient<Transport>;

/// A server whose files cannot grow beyond [`FILE_MAX_BYTES`], as a shell limits it: softly, so that we may lift it.
fn limited_server(folder: &Path) -> Server {
    // A shell counts in units of 512 bytes, bash in 1024 unless it is called sh.
    let limit = FILE_MAX_BYTES / 512;
    let script = format!("trap '' XFSZ; ulimit -S -f {limit}; exec \"$0\" serve --dev --port 0 --http-addr off");
    Server::start(command("sh", folder).args(["-c", &script, ROSTER]))
}

fn large_user(id: &str) -> CreateUserRequest {
    let attributes = (0..8).map(|key| (format!("key-{key}"), "x".repeat(1_000))).collect();
    CreateUserRequest { attributes, ..new_user(id) }
}

/// Creates users until one is refused; gives the ids of those that were not, and the refusal.
async fn fill(client: &mut Users, prefix: &str, count: usize) -> (Vec<String>, Option<Error>) {
    let mut acknowledged = Vec::new();
    for number in 0..count {
        let id = format!("{prefix}-{number}");
        match client.create_user(large_user(&id)).await {
            Ok(_) => acknowledged.push(id),
            Err(status) => return (acknowledged, Some(status.into())),
        }
    }
    (acknowledged, None)
}

async fn count(client: &mut Users) -> usize {
    client.search_users(SearchUsersRequest::default()).await.unwrap().into_inner().total_size as usize
}

#[track_caller]
fn assert_full(error: &Error) {
    let known = [(Code::ResourceExhausted, Some("DISK_FULL")), (Code::Unavailable, Some("STORE_UNAVAILABLE"))];
    assert!(known.contains(&(error.code(), error.reason())), "{error:?}");
    assert!(error.retry_after().is_some(), "{error:?}");
    assert!(!error.message().contains(".db"), "{error}");
}

#[tokio::test]
async fn a_full_disk_refuses_writes_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    Server::on_file(folder.path()).stop();
    let server = limited_server(folder.path());
    let mut client = server.client().await;
    let (mut acknowledged, refusal) = fill(&mut client, "before", USERS_MAX).await;
    assert!(acknowledged.len() > 10, "{}: {refusal:?}", acknowledged.len());
    assert_full(&refusal.unwrap());

    // Again and again: refusals break nothing.
    for number in 0..20 {
        let error = client.create_user(large_user(&format!("refused-{number}"))).await.unwrap_err();
        assert_full(&error.into());
    }
    for id in [&acknowledged[0], acknowledged.last().unwrap()] {
        let user = client.get_user(GetUserRequest { user_id: id.clone() }).await.unwrap().into_inner();
        assert_eq!(&user.id, id);
    }
    assert_eq!(count(&mut client).await, acknowledged.len());

    // Room again: back to the limit that we have ourselves.
    prlimit(Some(server.pid()), Resource::Fsize, getrlimit(Resource::Fsize)).unwrap();
    let (after, refusal) = fill(&mut client, "after", 50).await;
    assert!(refusal.is_none(), "{refusal:?}");
    acknowledged.extend(after);
    server.kill();

    let server = Server::on_file(folder.path());
    assert_eq!(count(&mut server.client().await).await, acknowledged.len());
    let copy = tempfile::tempdir().unwrap();
    let database = open_copy(folder.path(), copy.path());
    assert_consistent(&database);
    let stored = users(&database);
    assert!(acknowledged.iter().all(|id| stored.contains_key(id)));
}

#[tokio::test]
async fn a_disk_that_is_full_at_the_end_keeps_what_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    Server::on_file(folder.path()).stop();
    let server = limited_server(folder.path());
    let (acknowledged, _) = fill(&mut server.client().await, "user", USERS_MAX).await;
    // The log cannot be copied into the database, which may not grow either.
    server.terminate();
    server.ended().await.with_code(0);
    let server = Server::on_file(folder.path());
    assert_eq!(count(&mut server.client().await).await, acknowledged.len());
}
