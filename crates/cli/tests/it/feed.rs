//! The change feed under kill -9 of the server and of its readers, and under readers that never read.

use std::{
    collections::HashSet,
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use roster_api::{
    client::Transport,
    user::v1::{
        ChangeKind, CreateUserRequest, DeactivateUserRequest, DeleteUserRequest, ReactivateUserRequest,
        UpdateUserRequest, WatchUsersRequest, user_service_client::UserServiceClient, watch_users_request::Start,
        watch_users_response::Event,
    },
};
use rustix::process::Pid;

use crate::{
    database::open_copy,
    killer::Killer,
    random::Random,
    server::{Server, new_user, serve},
};

/// Starts of the server, each but the last ended by kill -9.
const ROUNDS: u64 = 8;
/// Clients that write at the same time.
const WRITERS: u64 = 8;
/// A round's kill comes with one of this many acknowledgements.
const ACKNOWLEDGED_MAX: u64 = 400;
/// Events that a reader takes at most before it is cut.
const READ_MAX: u64 = 25;
/// Times that readers are cut at least.
const CUTS_MIN: u64 = 100;

type Users = UserServiceClient<Transport>;

/// What of a change tells it from all others: its call, and what it was.
type Told = (String, &'static str);

#[test]
fn readers_that_are_cut_a_hundred_times_have_every_change_once_and_in_order() {
    let (folder, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut random = Random(11);
    let mut readers = [Reader::new(21), Reader::new(22)];
    let mut writers: Vec<Writer> = (0..WRITERS).map(Writer::new).collect();
    for _ in 0..ROUNDS {
        let server = Server::on_file(folder.path());
        let kill_at = 1 + random.below(ACKNOWLEDGED_MAX);
        (writers, readers) = runtime.block_on(run_until_killed(server, writers, readers, kill_at));
    }
    let server = Server::on_file(folder.path());
    runtime.block_on(async {
        let mut users = server.client().await;
        users.create_user(new_user("the-last")).await.unwrap();
        for reader in &mut readers {
            while reader.last_user != "the-last" {
                reader.read(&mut users, READ_MAX).await.unwrap();
            }
        }
    });
    let logged = logged(folder.path(), copy.path());
    let cuts: u64 = readers.iter().map(|reader| reader.cuts).sum();
    for reader in &readers {
        assert_eq!(reader.told.len(), reader.told.iter().collect::<HashSet<_>>().len(), "repeats");
        let from = logged.iter().position(|change| *change == reader.told[0]).unwrap();
        assert_eq!(reader.told[..], logged[from..], "gaps, or another order");
    }
    eprintln!("{} changes, {cuts} cuts, {ROUNDS} kills of the server: gaps 0, repeats 0", logged.len());
    assert!(cuts >= CUTS_MIN, "{cuts}");
    server.stop();
}

/// Lets all write and read; the writer with this acknowledgement kills the server.
async fn run_until_killed(
    server: Server,
    writers: Vec<Writer>,
    readers: [Reader; 2],
    kill_at: u64,
) -> (Vec<Writer>, [Reader; 2]) {
    let killer = Arc::new(Killer::after(kill_at, server.pid()));
    let mut reading = Vec::new();
    for mut reader in readers {
        let (mut users, killer) = (server.client().await, Arc::clone(&killer));
        reading.push(tokio::spawn(async move {
            loop {
                let count = 1 + reader.random.below(READ_MAX);
                if let Err(status) = reader.read(&mut users, count).await {
                    assert!(killer.has_killed(), "{status:?}");
                    return reader;
                }
            }
        }));
    }
    let mut writing = Vec::new();
    for mut writer in writers {
        let (users, killer) = (server.client().await, Arc::clone(&killer));
        writing.push(tokio::spawn(async move {
            writer.write(users, &killer).await;
            writer
        }));
    }
    let (mut writers, mut readers) = (Vec::new(), Vec::new());
    for task in writing {
        writers.push(task.await.unwrap());
    }
    for task in reading {
        readers.push(task.await.unwrap());
    }
    assert_eq!(server.wait().code, None, "the server ended by a signal");
    (writers, readers.try_into().unwrap_or_else(|_| panic!("two readers")))
}

/// Follows the feed, and is cut again and again.
struct Reader {
    random: Random,
    token: Option<String>,
    told: Vec<Told>,
    last_user: String,
    cuts: u64,
}

impl Reader {
    fn new(seed: u64) -> Self {
        Self { random: Random(seed), token: None, told: Vec::new(), last_user: String::new(), cuts: 0 }
    }

    /// Goes on from its token for so many changes, and is cut.
    async fn read(&mut self, users: &mut Users, count: u64) -> Result<(), tonic::Status> {
        let start = self.token.clone().map(Start::ResumeToken);
        let mut stream = users.watch_users(WatchUsersRequest { start, ..Default::default() }).await?.into_inner();
        self.cuts += 1;
        for _ in 0..count {
            let told = stream.message().await?.ok_or_else(|| tonic::Status::unavailable("ended"))?;
            self.token = Some(told.resume_token);
            if let Some(Event::Change(change)) = told.event {
                self.last_user.clone_from(&change.user_id);
                let kind = change.kind();
                self.told.push((change.request_id, kind.as_str_name()));
                if self.last_user == "the-last" {
                    break;
                }
            }
        }
        Ok(())
    }
}

/// One client that creates users and changes them in all ways.
struct Writer {
    number: u64,
    random: Random,
    made: u64,
    live: Vec<String>,
}

impl Writer {
    fn new(number: u64) -> Self {
        Self { number, random: Random(2_000 + number), made: 0, live: Vec::new() }
    }

    /// Writes until the server is gone. What became of the last call is not known.
    async fn write(&mut self, mut users: Users, killer: &Killer) {
        loop {
            match self.change(&mut users).await {
                Ok(()) => killer.acknowledged(),
                Err(status) if status.code() == tonic::Code::NotFound => {}
                Err(status) => {
                    assert!(killer.has_killed(), "{status:?}");
                    return;
                }
            }
        }
    }

    async fn change(&mut self, users: &mut Users) -> Result<(), tonic::Status> {
        if self.live.is_empty() || self.random.below(10) < 3 {
            self.made += 1;
            let id = format!("w{}-{}", self.number, self.made);
            self.live.push(id.clone());
            return users.create_user(new_user(&id)).await.map(drop);
        }
        let at = self.random.below(self.live.len() as u64) as usize;
        let (user_id, etag) = (self.live[at].clone(), String::new());
        match self.random.below(8) {
            0 => {
                self.live.swap_remove(at);
                users.delete_user(DeleteUserRequest { user_id, etag }).await.map(drop)
            }
            1 => users.deactivate_user(DeactivateUserRequest { user_id, etag }).await.map(drop),
            2 => users.reactivate_user(ReactivateUserRequest { user_id, etag }).await.map(drop),
            _ => {
                let name = Some(format!("n{}", self.random.below(u64::MAX)));
                users.update_user(UpdateUserRequest { user_id, name, ..Default::default() }).await.map(drop)
            }
        }
    }
}

/// Every change of users in the database, in order.
fn logged(folder: &Path, copy: &Path) -> Vec<Told> {
    let database = open_copy(folder, copy);
    let sql = "SELECT request_id, action FROM changes WHERE revision > 0 ORDER BY position";
    let mut statement = database.prepare(sql).unwrap();
    let change = |row: &rusqlite::Row<'_>| {
        let kind = match row.get_ref(1)?.as_str().unwrap() {
            "created" => ChangeKind::Created,
            "updated" => ChangeKind::Updated,
            "deactivated" => ChangeKind::Deactivated,
            "reactivated" => ChangeKind::Reactivated,
            "deleted" => ChangeKind::Deleted,
            other => panic!("{other}"),
        };
        Ok((row.get(0)?, kind.as_str_name()))
    };
    statement.query_map([], change).unwrap().map(Result::unwrap).collect()
}

/// Watchers that never read.
const MUTE: usize = 1_000;
/// Bytes that each may cost the server: its tasks and buffers, and two chunks of users.
const MUTE_MAX_BYTES: u64 = 320 * 1024;
/// How many writes are timed.
const TIMED_WRITES: usize = 300;

#[test]
fn a_thousand_watchers_that_never_read_cost_bounded_memory_and_slow_no_writer() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(serve(folder.path()).env("ROSTER_MAX_STREAMS_PER_CONNECTION", "2000"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut writer = server.client().await;
        // Large users, so that what is not bounded shows: all of them for all watchers would be 8 GiB.
        for number in 0..500 {
            writer.create_user(large(&format!("before-{number}"))).await.unwrap();
        }
        let alone = time_writes(&mut writer, "alone").await;
        let before = resident_bytes(server.pid());
        let mut mute = Vec::new();
        let (mut from_now, mut with_snapshot) = (server.client().await, server.client().await);
        for number in 0..MUTE {
            let (users, start) = match number % 2 {
                0 => (&mut from_now, None),
                _ => (&mut with_snapshot, Some(Start::Snapshot(true))),
            };
            mute.push(users.watch_users(WatchUsersRequest { start, ..Default::default() }).await.unwrap());
        }
        let beside = time_writes(&mut writer, "beside").await;
        for number in 0..500 {
            writer.create_user(large(&format!("after-{number}"))).await.unwrap();
        }
        let grown = resident_bytes(server.pid()).saturating_sub(before);
        eprintln!(
            "{MUTE} mute watchers: {} KiB each; a write took {:?} without and {:?} with them",
            grown / 1024 / MUTE as u64,
            alone / TIMED_WRITES as u32,
            beside / TIMED_WRITES as u32,
        );
        assert!(grown < MUTE as u64 * MUTE_MAX_BYTES, "{grown} bytes");
        // Nobody waits for who does not read. What the first changes cost, to be sent as far as windows go, may show.
        assert!(beside < alone * 5 + Duration::from_secs(1), "{beside:?} against {alone:?}");
    });
    server.kill();
}

async fn time_writes(users: &mut Users, name: &str) -> Duration {
    let started = Instant::now();
    for number in 0..TIMED_WRITES {
        users.create_user(new_user(&format!("{name}-{number}"))).await.unwrap();
    }
    started.elapsed()
}

fn large(id: &str) -> CreateUserRequest {
    let attributes = (0..15).map(|number| (format!("key{number}"), "x".repeat(1_000))).collect();
    CreateUserRequest { attributes, ..new_user(id) }
}

fn resident_bytes(pid: Pid) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}
