//! kill -9 in the middle of many calls with one idempotency key: one user, one answer, whoever asks again.

use std::{sync::Arc, time::Duration};

use roster_api::{
    client::{Transport, with_idempotency_key},
    user::v1::{CreateUserRequest, User, user_service_client::UserServiceClient},
};
use rusqlite::Connection;
use tokio::{sync::Semaphore, task::JoinSet};

use crate::{
    database::{assert_consistent, open_copy},
    server::Server,
};

/// Calls at the same time.
const CALLS: usize = 100;
/// When the kill comes: after so many answers.
const KILLED_AFTER: [u32; 5] = [1, 2, 10, 40, 99];
/// When it comes if it does not wait for an answer: before, while or after the call is done.
const WITHOUT_ANSWER: [Duration; 4] =
    [Duration::ZERO, Duration::from_micros(300), Duration::from_millis(1), Duration::from_millis(4)];

/// Makes the calls at once; each that is answered adds to `answered`.
async fn call(server: &Server, name: &str, answered: &Arc<Semaphore>) -> JoinSet<Option<User>> {
    let request = CreateUserRequest { email: format!("{name}@example.com"), ..Default::default() };
    let mut connections: Vec<UserServiceClient<Transport>> = Vec::new();
    for _ in 0..8 {
        connections.push(server.client().await);
    }
    let mut calls = JoinSet::new();
    for number in 0..CALLS {
        let mut users = connections[number % connections.len()].clone();
        let (request, answered) = (with_idempotency_key(request.clone(), name).unwrap(), Arc::clone(answered));
        calls.spawn(async move {
            let user = users.create_user(request).await.ok()?.into_inner();
            answered.add_permits(1);
            Some(user)
        });
    }
    calls
}

#[test]
fn of_a_hundred_calls_cut_by_a_kill_one_is_done() {
    let (folder, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let waits = WITHOUT_ANSWER.map(|wait| (0, wait)).into_iter();
    let rounds: Vec<_> = waits.chain(KILLED_AFTER.map(|answers| (answers, Duration::ZERO))).collect();
    for (round, (answers, wait)) in (0_i64..).zip(&rounds) {
        let name = format!("round-{round}");
        runtime.block_on(async {
            let server = Server::on_file(folder.path());
            let answered = Arc::new(Semaphore::new(0));
            let calls = call(&server, &name, &answered).await;
            answered.acquire_many(*answers).await.unwrap().forget();
            tokio::time::sleep(*wait).await;
            server.kill();
            let before: Vec<User> = calls.join_all().await.into_iter().flatten().collect();
            assert!(before.len() >= *answers as usize);

            let server = Server::on_file(folder.path());
            let after = call(&server, &name, &answered).await.join_all().await;
            let after: Vec<User> = after.into_iter().map(Option::unwrap).collect();
            assert_eq!(after.len(), CALLS);
            let one = &after[0];
            assert!(before.iter().chain(&after).all(|user| user == one), "{name}: two answers");
            eprintln!("{name}: {} answers before the kill, {} after it", before.len(), after.len());
            server.terminate();
            server.ended().await.with_code(0);
        });
        let database = open_copy(folder.path(), copy.path());
        assert_consistent(&database);
        assert_eq!(count(&database, "users"), round + 1, "{name}");
        assert_eq!(count(&database, "answers"), round + 1, "{name}");
    }
}

fn count(database: &Connection, table: &str) -> i64 {
    database.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
}
