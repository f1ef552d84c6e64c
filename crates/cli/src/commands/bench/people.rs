//! The users that a measurement is about: those that are there, or made for it and deleted after it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use roster_api::{
    client::Transport,
    user::v1::{CreateUserRequest, DeleteUserRequest, ListUsersRequest, user_service_client::UserServiceClient},
};
use tokio::task::JoinSet;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;

use super::caller::Caller;
use crate::{
    commands::progress::Progress,
    context::Context,
    error::{CliError, Failure},
    exit::Exit,
};

/// Calls at once that make or delete users.
const AT_ONCE: usize = 64;
/// Users on a page, the most there are.
const PAGE: usize = 1_000;
/// Calls between two looks at whether the token is about to end.
const CALLS_PER_TOKEN: usize = 1_000;
/// What was not deleted is tried again after this, if the server says no other time, or after a multiple of it up to the most.
const PAUSE: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// Nobody is waited for any more who has deleted nothing for so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// Names that no other measurement has, given out one by one.
#[derive(Debug)]
pub struct Names {
    run: String,
    next: AtomicU64,
}

impl Names {
    fn new() -> Self {
        let now = jiff::Timestamp::now().as_microsecond();
        Self { run: format!("bench-{now:x}-{:x}", std::process::id()), next: AtomicU64::new(0) }
    }

    /// A request for a user of the next name.
    pub fn next(&self) -> CreateUserRequest {
        let user_id = self.id(self.next.fetch_add(1, Relaxed));
        let (email, name) = (format!("{user_id}@bench.example"), format!("Bench {}", self.run));
        CreateUserRequest { user_id, email, name, ..Default::default() }
    }

    fn id(&self, number: u64) -> String {
        format!("{}-{number}", self.run)
    }

    /// What a person types to delete them all.
    pub fn how_to_delete(&self) -> String {
        let (list, delete) = ("roster user list --all --output json", "roster user delete --yes");
        format!("delete them with: {list} --filter 'email : \"{}-\"' | jq -r .id | xargs -r -n 100 {delete}", self.run)
    }
}

/// The users, and who makes and deletes them.
pub struct People {
    users: UserServiceClient<Transport>,
    pub caller: Arc<Caller>,
    /// Whom calls are about.
    pub ids: Arc<Vec<String>>,
    /// Of those that are made.
    pub names: Arc<Names>,
}

impl People {
    /// Nobody yet.
    pub fn new(context: &Context) -> Self {
        let (users, caller) = (context.users.clone(), Arc::new(Caller::of(context)));
        Self { users, caller, ids: Arc::default(), names: Arc::new(Names::new()) }
    }

    /// Takes up to `max` of those that are there.
    pub async fn find(&mut self, context: &mut Context, max: usize) -> Result<(), Failure> {
        let mut ids: Vec<String> = Vec::new();
        while ids.len() < max {
            let page_token = ids.last().cloned().unwrap_or_default();
            let page_size = i32::try_from(PAGE.min(max - ids.len())).unwrap_or(i32::MAX);
            let request = ListUsersRequest { page_size, page_token, ..Default::default() };
            let mut page = context.users.list_users(context.request(request)).await?.into_inner();
            let before = ids.len();
            while let Some(user) = page.message().await? {
                ids.push(user.id);
            }
            if ids.len() == before {
                break;
            }
        }
        self.ids = Arc::new(ids);
        Ok(())
    }

    /// Makes `count` users.
    pub async fn make(
        &mut self,
        count: usize,
        context: &mut Context,
        stop: &AtomicBool,
        progress: &mut Progress,
    ) -> Result<(), Failure> {
        let requests: Vec<_> = (0..count).map(|_| self.names.next()).collect();
        let wanted = || !stop.load(Relaxed);
        self.ids = Arc::new(requests.iter().map(|request| request.user_id.clone()).collect());
        let users = self.users.clone();
        let create = move |request| {
            let mut users = users.clone();
            async move { users.create_user(request).await.map(drop) }
        };
        let shown = |done| show(progress, done, "users made", count);
        let failed = self.each(context, requests, create, wanted, shown).await;
        progress.clear();
        failed.into_iter().next().map_or(Ok(()), |(_, status)| Err(status.into()))
    }

    /// Deletes all that were made, by the measurement too, and tries again what a busy server did not do. Those whose call
    /// was never answered may be there or not.
    pub async fn delete(&self, context: &mut Context, progress: &mut Progress) -> Result<(), Failure> {
        let made = self.names.next.load(Relaxed);
        let mut left: Vec<_> = (0..made)
            .map(|number| DeleteUserRequest { user_id: self.names.id(number), ..Default::default() })
            .collect();
        let (count, mut pause, mut progressed) = (left.len(), PAUSE, Instant::now());
        loop {
            let before = left.len();
            let users = self.users.clone();
            let delete = move |request| {
                let mut users = users.clone();
                async move {
                    match users.delete_user(request).await {
                        Err(status) if status.code() != Code::NotFound => Err(status),
                        _ => Ok(()),
                    }
                }
            };
            let done_before = (count - before) as u64;
            let shown = |done| show(progress, done_before + done, "users deleted", count);
            let failed = self.each(context, left, delete, || true, shown).await;
            progress.clear();
            let Some((_, status)) = failed.first() else { return Ok(()) };
            if failed.len() < before {
                (pause, progressed) = (PAUSE, Instant::now());
            }
            if progressed.elapsed() >= PATIENCE || !failed.iter().any(|(_, status)| may_work_later(status)) {
                return Err(self.not_deleted(failed.len(), count, status.clone()));
            }
            let asked = failed.iter().filter_map(|(_, status)| status.get_details_retry_info()?.retry_delay).max();
            tokio::time::sleep(asked.unwrap_or(pause).min(PATIENCE)).await;
            pause = (pause * 2).min(PAUSE_MAX);
            left = failed.into_iter().map(|(request, _)| request).collect();
        }
    }

    fn not_deleted(&self, left: usize, count: usize, status: Status) -> Failure {
        let mut error = CliError::from(status);
        error.message = format!("{left} of {count} users that were made could not be deleted: {}", error.message);
        Failure::Error(Box::new(CliError { exit: Exit::TryAgain, ..error }.hint(self.names.how_to_delete())))
    }

    /// Makes all calls, a number of them at once, as long as they are wanted; gives those that failed, the first one first.
    async fn each<T: Clone + Send + 'static, F: Future<Output = Result<(), Status>> + Send + 'static>(
        &self,
        context: &mut Context,
        requests: Vec<T>,
        call: impl Fn(Request<T>) -> F,
        wanted: impl Fn() -> bool,
        mut show: impl FnMut(u64),
    ) -> Vec<(T, Status)> {
        let (mut failed, mut calls, mut begun, mut done) = (Vec::new(), JoinSet::new(), 0, 0);
        let mut requests = requests.into_iter();
        loop {
            while calls.len() < AT_ONCE
                && wanted()
                && let Some(message) = requests.next()
            {
                if begun % CALLS_PER_TOKEN == 0 {
                    self.caller.renew(context).await;
                }
                begun += 1;
                let call = call(self.caller.request(message.clone()));
                calls.spawn(async move { call.await.map_err(|status| (message, status)) });
            }
            let Some(ended) = calls.join_next().await else { return failed };
            done += 1;
            show(done);
            // Nobody aborts them.
            if let Ok(Err(failure)) = ended {
                failed.push(failure);
            }
        }
    }
}

/// The server was busy, away or slow.
fn may_work_later(status: &Status) -> bool {
    matches!(status.code(), Code::ResourceExhausted | Code::Unavailable | Code::DeadlineExceeded)
}

fn show(progress: &mut Progress, done: u64, what: &str, of: usize) {
    progress.show(done, what, Some(done as f64 / of as f64));
}
