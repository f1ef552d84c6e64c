//! The users that a measurement is about: those that are there, or made for it and deleted after it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use roster_api::{
    client::Transport,
    user::v1::{CreateUserRequest, DeleteUserRequest, ListUsersRequest, user_service_client::UserServiceClient},
};
use tokio::task::JoinSet;
use tonic::{
    Code, Request, Status,
    metadata::{Ascii, MetadataValue},
};

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
}

/// The users, and who makes and deletes them.
pub struct People {
    users: UserServiceClient<Transport>,
    authorization: Option<MetadataValue<Ascii>>,
    timeout: Duration,
    /// Whom calls are about.
    pub ids: Arc<Vec<String>>,
    /// Of those that are made.
    pub names: Arc<Names>,
}

impl People {
    /// Nobody yet.
    pub fn new(context: &Context) -> Self {
        let (users, authorization, timeout) = (context.users.clone(), context.authorization(), context.timeout);
        Self { users, authorization, timeout, ids: Arc::default(), names: Arc::new(Names::new()) }
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
    pub async fn make(&mut self, count: usize, stop: &AtomicBool, progress: &mut Progress) -> Result<(), Failure> {
        let requests: Vec<_> = (0..count).map(|_| self.names.next()).collect();
        let wanted = || !stop.load(Relaxed);
        self.ids = Arc::new(requests.iter().map(|request| request.user_id.clone()).collect());
        let users = self.users.clone();
        let create = move |request| {
            let mut users = users.clone();
            async move { users.create_user(request).await.map(drop) }
        };
        let failed = self.each(requests, create, wanted, |done| show(progress, done, "users made", count)).await;
        progress.clear();
        match failed {
            None => Ok(()),
            Some((status, _)) => Err(status.into()),
        }
    }

    /// Deletes all that were made, by the measurement too. Those whose call was never answered may be there or not.
    pub async fn delete(&self, progress: &mut Progress) -> Result<(), Failure> {
        let made = self.names.next.load(Relaxed);
        let requests: Vec<_> = (0..made)
            .map(|number| DeleteUserRequest { user_id: self.names.id(number), ..Default::default() })
            .collect();
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
        let count = requests.len();
        let failed = self.each(requests, delete, || true, |done| show(progress, done, "users deleted", count)).await;
        progress.clear();
        let Some((status, left)) = failed else { return Ok(()) };
        let mut error = CliError::from(status);
        error.message = format!("{left} of {count} users that were made could not be deleted: {}", error.message);
        let rest = format!("`roster user search {}` finds them", self.names.run);
        Err(Failure::Error(Box::new(CliError { exit: Exit::TryAgain, ..error }.hint(rest))))
    }

    /// Makes all calls, a number of them at once, as long as they are wanted; gives the first error and how many there were.
    async fn each<T: 'static, F: Future<Output = Result<(), Status>> + Send + 'static>(
        &self,
        requests: Vec<T>,
        call: impl Fn(Request<T>) -> F,
        wanted: impl Fn() -> bool,
        mut show: impl FnMut(u64),
    ) -> Option<(Status, usize)> {
        let mut failed: Option<(Status, usize)> = None;
        let (mut calls, mut done) = (JoinSet::new(), 0);
        let mut requests = requests.into_iter();
        loop {
            while calls.len() < AT_ONCE
                && wanted()
                && let Some(message) = requests.next()
            {
                calls.spawn(call(self.request(message)));
            }
            let Some(ended) = calls.join_next().await else { return failed };
            done += 1;
            show(done);
            let status = match ended {
                Ok(Ok(())) => continue,
                Ok(Err(status)) => status,
                Err(error) => Status::unknown(error.to_string()),
            };
            // The first says why; of the others it is enough how many there were.
            match &mut failed {
                Some((_, count)) => *count += 1,
                None => failed = Some((status, 1)),
            }
        }
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(authorization) = &self.authorization {
            request.metadata_mut().insert("authorization", authorization.clone());
        }
        request.set_timeout(self.timeout);
        request
    }
}

fn show(progress: &mut Progress, done: u64, what: &str, of: usize) {
    progress.show(done, what, Some(done as f64 / of as f64));
}
