//! kill -9 under parallel writers, again and again: what was acknowledged is there, and nothing is there by halves.

use std::{collections::HashMap, path::Path, process::Stdio, sync::Arc, thread, time::Duration};

use roster_api::{
    client::Transport,
    user::v1::{
        CreateUserRequest, DeactivateUserRequest, DeleteUserRequest, ReactivateUserRequest, UpdateUserRequest,
        user_service_client::UserServiceClient,
    },
};
use tonic::Status;

use crate::{
    database::{Row, assert_consistent, open_copy, users},
    killer::Killer,
    random::Random,
    server::{Server, new_user, serve},
};

/// Starts of the server, each but the last ended by kill -9.
const ROUNDS: u64 = 30;
/// Clients that write at the same time.
const WRITERS: u64 = 32;
/// A round's kill comes with one of this many acknowledgements.
const ACKNOWLEDGED_MAX: u64 = 400;
/// The kills during a start come within this time: before, while and after the log is recovered.
const START_MICROSECONDS: u64 = 60_000;
/// A hash as another system would hand it over.
const PASSWORD_HASH: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY";

type Users = UserServiceClient<Transport>;

#[test]
fn kill_9_loses_nothing_acknowledged_and_halves_nothing() {
    let (folder, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut random = Random(1);
    let mut writers: Vec<Writer> = (0..WRITERS).map(Writer::new).collect();
    let (mut acknowledged, mut unheard) = (0, 0);
    for round in 0..ROUNDS {
        if round % 3 == 2 {
            kill_while_starting(folder.path(), Duration::from_micros(random.below(START_MICROSECONDS)));
        }
        let kill_at = 1 + random.below(ACKNOWLEDGED_MAX);
        writers = runtime.block_on(write_until_killed(Server::on_file(folder.path()), writers, kill_at));
        acknowledged += kill_at;

        let database = open_copy(folder.path(), copy.path());
        assert_consistent(&database);
        let found = users(&database);
        unheard += writers.iter_mut().map(|writer| writer.compare(&found, round)).sum::<u64>();
        let known = writers.iter().flat_map(|writer| &writer.users).filter(|user| user.acknowledged.is_some()).count();
        assert_eq!(found.len(), known, "round {round}: users that nobody asked for");
    }
    eprintln!("{acknowledged} writes acknowledged, all there; {unheard} done whose answer was cut off");
    let server = Server::on_file(folder.path());
    let stored = users(&open_copy(folder.path(), copy.path()));
    // What the search index had taken in at a kill, and what it had not, is found all the same.
    for writer in ["w0-", "w17-", "w31-", "user"] {
        let found = server.roster(&["user", "search", writer, "--limit", "100000", "--output", "json"]).with_code(0);
        let expected = stored
            .iter()
            .filter(|(id, user)| id.starts_with(writer) || user.name.to_lowercase().contains(writer))
            .count();
        assert_eq!(found.json().len(), expected, "{writer}");
    }
    server.stop();
}

/// The start recovers what the last kill left; a kill in the middle of that must not matter either.
fn kill_while_starting(folder: &Path, after: Duration) {
    let mut child = serve(folder).stderr(Stdio::null()).spawn().unwrap();
    thread::sleep(after);
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Lets all writers write; whoever gets the acknowledgement with this number kills the server.
async fn write_until_killed(server: Server, writers: Vec<Writer>, kill_at: u64) -> Vec<Writer> {
    let killer = Arc::new(Killer::after(kill_at, server.pid()));
    let mut clients = Vec::new();
    for _ in &writers {
        clients.push(server.client().await);
    }
    let mut tasks = Vec::new();
    for (mut writer, users) in writers.into_iter().zip(clients) {
        let killer = Arc::clone(&killer);
        tasks.push(tokio::spawn(async move {
            writer.write(users, &killer).await;
            writer
        }));
    }
    let mut writers = Vec::new();
    for task in tasks {
        writers.push(task.await.unwrap());
    }
    assert_eq!(server.wait().code, None, "the server ended by a signal");
    writers
}

/// One client, the users that it made, and what it knows of them.
struct Writer {
    number: u64,
    random: Random,
    users: Vec<Known>,
}

struct Known {
    id: String,
    /// As it was acknowledged; `None` for a user that is not there.
    acknowledged: Option<Row>,
    /// What it becomes by a call whose answer has not come.
    attempted: Option<Option<Row>>,
}

impl Writer {
    fn new(number: u64) -> Self {
        Self { number, random: Random(1_000 + number), users: Vec::new() }
    }

    /// Writes until the server is gone.
    async fn write(&mut self, mut users: Users, killer: &Killer) {
        loop {
            let at = self.choose();
            match self.change(at, &mut users).await {
                Ok(()) => {
                    let user = &mut self.users[at];
                    user.acknowledged = user.attempted.take().unwrap();
                    killer.acknowledged();
                }
                Err(status) => {
                    assert!(killer.has_killed(), "{}: {status:?}", self.users[at].id);
                    return;
                }
            }
        }
    }

    /// A new user in four of ten cases, else one that is there.
    fn choose(&mut self) -> usize {
        let there: Vec<usize> = (0..self.users.len()).filter(|at| self.users[*at].acknowledged.is_some()).collect();
        if there.is_empty() || self.random.below(10) < 4 {
            let id = format!("w{}-{}", self.number, self.users.len());
            self.users.push(Known { id, acknowledged: None, attempted: None });
            return self.users.len() - 1;
        }
        there[self.random.below(there.len() as u64) as usize]
    }

    /// Creates the user, or changes it in some way; notes what it is then.
    async fn change(&mut self, at: usize, users: &mut Users) -> Result<(), Status> {
        let way = self.random.below(6);
        let Known { id, acknowledged, attempted } = &mut self.users[at];
        let user_id = id.clone();
        let Some(before) = acknowledged.clone() else {
            let has_password = way < 3;
            let password_hash = if has_password { PASSWORD_HASH.into() } else { String::new() };
            let request = CreateUserRequest { password_hash, ..new_user(id) };
            *attempted = Some(Some(Row { name: request.name.clone(), active: true, revision: 1, has_password }));
            return users.create_user(request).await.map(drop);
        };
        let revision = before.revision + 1;
        match way {
            0 => {
                *attempted = Some(None);
                users.delete_user(DeleteUserRequest { user_id, etag: String::new() }).await.map(drop)
            }
            1 => {
                *attempted = Some(Some(Row { active: !before.active, revision, ..before }));
                let etag = String::new();
                if before.active {
                    users.deactivate_user(DeactivateUserRequest { user_id, etag }).await.map(drop)
                } else {
                    users.reactivate_user(ReactivateUserRequest { user_id, etag }).await.map(drop)
                }
            }
            _ => {
                let name = format!("User {user_id}, revision {revision}");
                *attempted = Some(Some(Row { name: name.clone(), revision, ..before }));
                let request = UpdateUserRequest { user_id, name: Some(name), ..UpdateUserRequest::default() };
                users.update_user(request).await.map(drop)
            }
        }
    }

    /// Each user is as it was acknowledged, or as the cut-off call makes it; gives how many are the latter.
    fn compare(&mut self, found: &HashMap<String, Row>, round: u64) -> u64 {
        let mut unheard = 0;
        for user in &mut self.users {
            let found = found.get(&user.id).cloned();
            if found != user.acknowledged {
                assert_eq!(
                    Some(&found),
                    user.attempted.as_ref(),
                    "round {round}, {}: neither as attempted nor as acknowledged: {:?}",
                    user.id,
                    user.acknowledged
                );
                unheard += 1;
            }
            user.acknowledged = found;
            user.attempted = None;
        }
        unheard
    }
}
