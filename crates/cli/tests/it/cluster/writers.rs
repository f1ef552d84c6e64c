//! Clients that write, and know what was acknowledged: every node is to show it, at once and in the end.

use std::{collections::HashMap, sync::Arc};

use roster_api::{
    Error,
    client::Transport,
    user::v1::{
        DeactivateUserRequest, DeleteUserRequest, GetUserRequest, ReactivateUserRequest, UpdateUserRequest, User,
        UserStatus, user_service_client::UserServiceClient,
    },
};
use tonic::{Code, Request};

use super::{
    calls::{Calls, is_passing},
    nodes::NODES,
    site::{Direct, READ_ELSEWHERE_MAX},
};
use crate::{random::Random, server::new_user};

pub type Users = UserServiceClient<Transport>;

/// One client, and the users that it alone writes.
pub struct Writer {
    pub name: String,
    random: Random,
    calls: Arc<Calls>,
    /// Through the balancer, or to all nodes by itself.
    users: Users,
    /// Each node by itself.
    nodes: [Direct; NODES],
    made: u64,
    /// As acknowledged; `None` for one that was deleted.
    pub known: HashMap<String, Option<User>>,
    live: Vec<String>,
    /// How often each node has shown what another had just acknowledged.
    pub seen_elsewhere: [u64; NODES],
}

impl Writer {
    pub fn new(number: u64, seed: u64, calls: Arc<Calls>, users: Users, nodes: [Direct; NODES]) -> Self {
        let random = Random(seed.wrapping_mul(1_000) + number);
        let (known, live) = (HashMap::new(), Vec::new());
        Self {
            name: format!("w{number}"),
            random,
            calls,
            users,
            nodes,
            made: 0,
            known,
            live,
            seen_elsewhere: [0; NODES],
        }
    }

    /// One change, acknowledged; then one node is asked what it has.
    pub async fn step(&mut self) {
        self.made += 1;
        let (id, user) = if self.live.is_empty() || self.random.below(10) < 3 {
            let id = format!("{}-{}", self.name, self.made);
            (id.clone(), Some(self.create(id).await))
        } else {
            let at = self.random.below(self.live.len() as u64) as usize;
            let id = self.live.swap_remove(at);
            (id.clone(), self.change(&id).await)
        };
        if user.is_some() {
            self.live.push(id.clone());
        }
        self.known.insert(id.clone(), user);
        let node = self.random.below(NODES as u64) as usize;
        self.look_at(node, &id).await;
    }

    fn key(&self) -> String {
        format!("{}-change-{}", self.name, self.made)
    }

    async fn create(&mut self, id: String) -> User {
        let key = self.key();
        let users = &mut self.users;
        let created =
            self.calls.surely(&self.name, &key, new_user(&id), async |request| users.create_user(request).await).await;
        self.acknowledged(&id, created)
    }

    /// Changes a user who is there, by the etag that was acknowledged: a lost write would show as another etag.
    async fn change(&mut self, id: &str) -> Option<User> {
        let (key, way) = (self.key(), self.random.below(8));
        let before = self.known[id].clone().unwrap();
        let (user_id, etag) = (id.to_owned(), before.etag.clone());
        let (calls, name, users) = (&self.calls, &self.name, &mut self.users);
        let answer = match way {
            0 => {
                let message = DeleteUserRequest { user_id, etag };
                let deleted = calls.surely(name, &key, message, async |request| users.delete_user(request).await).await;
                deleted.unwrap_or_else(|error| panic!("{id} cannot be deleted: {error}; it was {before:?}"));
                return None;
            }
            1 if before.status() == UserStatus::Active => {
                let message = DeactivateUserRequest { user_id, etag };
                calls.surely(name, &key, message, async |request| users.deactivate_user(request).await).await
            }
            1 => {
                let message = ReactivateUserRequest { user_id, etag };
                calls.surely(name, &key, message, async |request| users.reactivate_user(request).await).await
            }
            _ => {
                let name_after = Some(format!("by {key}"));
                let message = UpdateUserRequest { user_id, etag, name: name_after, ..Default::default() };
                calls.surely(name, &key, message, async |request| users.update_user(request).await).await
            }
        };
        Some(self.acknowledged(id, answer))
    }

    fn acknowledged(&self, id: &str, answer: Result<User, Error>) -> User {
        answer.unwrap_or_else(|error| panic!("{id}: {error}; it was {:?}", self.known.get(id)))
    }

    /// A read that begins after an acknowledgement sees what was acknowledged, whichever node it asks.
    async fn look_at(&mut self, node: usize, id: &str) {
        let mut request = Request::new(GetUserRequest { user_id: id.to_owned() });
        request.set_timeout(READ_ELSEWHERE_MAX);
        let found = match self.nodes[node].get_user(request).await.map_err(Error::from) {
            Ok(found) => Some(found.into_inner()),
            Err(error) if error.code() == Code::NotFound => None,
            // It may be gone just now.
            Err(error) if is_passing(&error) => return,
            Err(error) => panic!("node {}, {id}: {error}", node + 1),
        };
        assert_eq!(found, self.known[id], "node {} does not show what was acknowledged of {id}", node + 1);
        self.seen_elsewhere[node] += 1;
    }
}
