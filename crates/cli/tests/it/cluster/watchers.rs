//! Clients that follow the feed through whatever happens, and what they were told.

use std::collections::HashSet;

use roster_api::{
    Watch,
    user::v1::{
        ChangeKind, WatchUsersRequest, WatchUsersResponse, watch_users_request::Start, watch_users_response::Event,
    },
    watch::Step,
};

use super::writers::Users;

/// What of a change tells it from all others: its call, and what it was.
pub type Told = (String, ChangeKind);

/// One that goes on from its tokens, whatever is cut.
pub struct Watcher {
    watch: Watch,
    pub told: Vec<Told>,
    /// Where it began.
    pub first_token: String,
    pub cuts: u64,
    last_user: String,
}

impl Watcher {
    /// From now on. Once this is there, nothing that happens is missed.
    pub async fn start(users: Users) -> Self {
        let heartbeat_interval = Some(prost_types::Duration { seconds: 1, nanos: 0 });
        let watch = Watch::new(users, WatchUsersRequest { heartbeat_interval, ..Default::default() });
        let mut this = Self { watch, told: Vec::new(), first_token: String::new(), cuts: 0, last_user: String::new() };
        while this.first_token.is_empty() {
            this.step().await;
        }
        this
    }

    /// Goes on until it is told of this user.
    pub async fn until(mut self, user: &str) -> Self {
        while self.last_user != user {
            self.step().await;
        }
        self
    }

    async fn step(&mut self) {
        match self.watch.step().await {
            Ok(Step::Told(told)) => self.take(told),
            Ok(Step::Cut(..)) => self.cuts += 1,
            Err(error) => panic!("a watch has ended for good: {error}"),
        }
    }

    fn take(&mut self, told: WatchUsersResponse) {
        if self.first_token.is_empty() {
            self.first_token = told.resume_token;
        }
        if let Some(Event::Change(change)) = told.event {
            self.last_user.clone_from(&change.user_id);
            let kind = change.kind();
            self.told.push((change.request_id, kind));
        }
    }
}

/// What a node tells who comes with this token, up to this user.
pub async fn replay(users: Users, token: &str, user: &str) -> Vec<Told> {
    let start = Some(Start::ResumeToken(token.to_owned()));
    let watch = Watch::new(users, WatchUsersRequest { start, ..Default::default() });
    let first_token = token.to_owned();
    Watcher { watch, told: Vec::new(), first_token, cuts: 0, last_user: String::new() }.until(user).await.told
}

/// That nothing is missing, nothing comes twice, and the order is that of the log.
pub fn assert_whole(told: &[Told], logged: &[Told], who: &str) {
    let from = logged.iter().position(|change| *change == told[0]);
    let from = from.unwrap_or_else(|| panic!("{who} was told of {:?}, which is not in the log", told[0]));
    let repeats = told.len() - told.iter().collect::<HashSet<_>>().len();
    let gaps = logged[from..].iter().collect::<HashSet<_>>().difference(&told.iter().collect()).count();
    assert_eq!((gaps, repeats), (0, 0), "gaps and repeats of {who}");
    assert_eq!(told, &logged[from..], "{who}: another order");
}
