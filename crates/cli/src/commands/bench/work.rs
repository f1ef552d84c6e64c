//! What is called: one call at a time, drawn by chance.

use std::sync::Arc;

use roster_api::{
    client::Transport,
    user::v1::{
        GetUserRequest, ListUsersRequest, SearchUsersRequest, UpdateUserRequest, user_service_client::UserServiceClient,
    },
};
use tonic::Status;

use super::{Workload, caller::Caller, people::Names};

/// Users on a page of a stream, the most there are.
const PAGE: i32 = 1_000;
/// Users that a search gives.
const FOUND: i32 = 20;

/// A method that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Get,
    Search,
    Update,
    Create,
    List,
}

impl Kind {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 5] = [Self::Get, Self::Search, Self::Update, Self::Create, Self::List];

    /// The method's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "GetUser",
            Self::Search => "SearchUsers",
            Self::Update => "UpdateUser",
            Self::Create => "CreateUser",
            Self::List => "ListUsers",
        }
    }
}

/// What all callers share.
#[derive(Debug)]
pub struct Work {
    pub workload: Workload,
    /// Users that are there.
    pub ids: Arc<Vec<String>>,
    /// Of users to be made.
    pub names: Arc<Names>,
    pub caller: Arc<Caller>,
}

impl Work {
    /// What is to be called next.
    pub fn draw(&self, random: &mut Random) -> Kind {
        match self.workload {
            Workload::Reads => Kind::Get,
            Workload::Writes => Kind::Create,
            Workload::Streams => Kind::List,
            Workload::Mixed => match random.below(10) {
                0 => Kind::Search,
                1 => Kind::Update,
                _ => Kind::Get,
            },
        }
    }

    /// Calls it; gives the messages of the answer.
    pub async fn call(
        &self,
        kind: Kind,
        users: &mut UserServiceClient<Transport>,
        random: &mut Random,
    ) -> Result<u64, Status> {
        match kind {
            Kind::Get => {
                users.get_user(self.caller.request(GetUserRequest { user_id: self.id(random) })).await.map(|_| 1)
            }
            Kind::Create => users.create_user(self.caller.request(self.names.next())).await.map(|_| 1),
            Kind::Search => {
                let query = self.id(random);
                let request = SearchUsersRequest { query, page_size: FOUND, ..Default::default() };
                users.search_users(self.caller.request(request)).await.map(|_| 1)
            }
            Kind::Update => {
                let name = Some(format!("Bench {}", random.below(1 << 30)));
                let request = UpdateUserRequest { user_id: self.id(random), name, ..Default::default() };
                users.update_user(self.caller.request(request)).await.map(|_| 1)
            }
            Kind::List => {
                let request = ListUsersRequest { page_size: PAGE, page_token: self.id(random), ..Default::default() };
                let mut page = users.list_users(self.caller.request(request)).await?.into_inner();
                let mut messages = 0;
                while page.message().await?.is_some() {
                    messages += 1;
                }
                Ok(messages)
            }
        }
    }

    fn id(&self, random: &mut Random) -> String {
        self.ids.get(random.below(self.ids.len())).cloned().unwrap_or_default()
    }
}

/// Numbers that look random and are the same in every run (xorshift64*).
pub struct Random(u64);

impl Random {
    /// Any seed will do.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// A number below `bound`; 0 if that is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let bits = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32;
        (bits as usize).checked_rem(bound).unwrap_or(0)
    }
}
