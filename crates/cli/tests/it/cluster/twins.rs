//! Calls with one idempotency key on different nodes at the same moment: one is done, and all get its answer.

use std::sync::Arc;

use roster_api::{
    Error,
    client::with_idempotency_key,
    user::v1::{CreateUserRequest, UpdateUserRequest, User},
};
use tokio::task::JoinSet;
use tonic::{Code, Request};

use super::{
    calls::{Calls, is_passing},
    nodes::NODES,
    site::READ_ELSEWHERE_MAX,
    writers::Users,
};

/// The user that they change.
pub const CHANGED: &str = "twins";

/// Sends them.
pub struct Twins {
    pub name: String,
    calls: Arc<Calls>,
    users: Users,
    nodes: [Users; NODES],
    round: u64,
    /// Changes of [`CHANGED`] that were asked for, each several times.
    pub changes: u64,
    /// Answers that were compared.
    pub compared: u64,
    /// As the last answer had it.
    pub changed: Option<User>,
    /// Whom they have made, by id.
    pub made: Vec<User>,
}

impl Twins {
    pub fn new(calls: Arc<Calls>, users: Users, nodes: [Users; NODES]) -> Self {
        let (changed, made) = (None, Vec::new());
        Self { name: CHANGED.into(), calls, users, nodes, round: 0, changes: 0, compared: 0, changed, made }
    }

    pub async fn step(&mut self) {
        self.round += 1;
        let key = format!("{CHANGED}-{}", self.round);
        if self.round.is_multiple_of(3) {
            // Without an id of its own: two executions would be two users, or a refusal.
            let message = CreateUserRequest { email: format!("{key}@example.com"), ..Default::default() };
            let one = self
                .at_once(&key, message, |mut users: Users, request| async move { users.create_user(request).await })
                .await;
            self.made.push(one);
        } else {
            // Without an etag: two executions would be two changes.
            let message = UpdateUserRequest { user_id: CHANGED.into(), name: Some(key.clone()), ..Default::default() };
            let one = self
                .at_once(&key, message, |mut users: Users, request| async move { users.update_user(request).await })
                .await;
            self.changes += 1;
            self.changed = Some(one);
        }
    }

    /// The answer that all have got that got one.
    async fn at_once<M, F>(
        &mut self,
        key: &str,
        message: M,
        call: impl Fn(Users, Request<M>) -> F + Copy + Send + 'static,
    ) -> User
    where
        M: Clone + Send + 'static,
        F: Future<Output = Result<tonic::Response<User>, tonic::Status>> + Send,
    {
        let mut parallel = JoinSet::new();
        for users in self.nodes.iter().chain(&self.nodes) {
            let (users, mut request) =
                (users.clone(), with_idempotency_key(Request::new(message.clone()), key).unwrap());
            request.set_timeout(READ_ELSEWHERE_MAX * 4);
            parallel.spawn(async move { call(users, request).await.map_err(Error::from) });
        }
        let users = self.users.clone();
        let one = self.calls.surely(&self.name, key, message, async |request| call(users.clone(), request).await).await;
        let one = one.unwrap_or_else(|error| panic!("{key}: {error}"));
        for answer in parallel.join_all().await {
            match answer {
                Ok(answer) => {
                    assert_eq!(answer.into_inner(), one, "{key}: two answers");
                    self.compared += 1;
                }
                Err(error) => assert!(is_passing(&error) || error.code() == Code::Aborted, "{key}: {error}"),
            }
        }
        one
    }
}
