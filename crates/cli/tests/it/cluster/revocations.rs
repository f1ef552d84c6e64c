//! Access that is taken away through one node, and how long the others take it for good.

use std::{
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use roster_api::{
    Client, Error,
    auth::v1::{
        ApiKey, CreateApiKeyRequest, RefreshTokenRequest, RevokeAllSessionsRequest, RevokeApiKeyRequest,
        RevokeSessionRequest, SignInRequest, SignOutRequest, auth_service_client::AuthServiceClient,
    },
    user::v1::{
        ChangePasswordRequest, CreateUserRequest, DeactivateUserRequest, DeleteUserRequest, GetUserRequest,
        WatchUsersRequest, watch_users_response::Event,
    },
};
use tokio::{sync::watch, task::JoinSet};
use tonic::{Code, Request, transport::Channel};

use super::{
    calls::{Calls, is_passing},
    nodes::NODES,
    site::Direct,
};
use crate::{random::Random, server::new_user};

/// How long revoked access may still be good anywhere.
pub const REFUSED_WITHIN: Duration = Duration::from_secs(1);
/// How long it is tried after that.
const TRIED_FOR: Duration = Duration::from_millis(300);
/// Between two tries on a node.
const TRY_EVERY: Duration = Duration::from_millis(5);
/// How long a try may take: longer than a node is frozen, so that what was sent to one is answered when it wakes.
const TRY_MAX: Duration = Duration::from_secs(15);
/// How long is waited for a node to take what it is to refuse later.
const TAKEN_WITHIN: Duration = Duration::from_millis(500);

const PASSWORD: &str = "correct horse battery staple";

/// How access ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    ApiKey,
    SignOut,
    Session,
    AllSessions,
    Password,
    Deactivated,
    Deleted,
}

const WAYS: [Way; 7] =
    [Way::ApiKey, Way::SignOut, Way::Session, Way::AllSessions, Way::Password, Way::Deactivated, Way::Deleted];

/// Whose access is to end.
struct Holder {
    token: String,
    refresh_token: String,
    user_id: String,
    /// Of the session or key.
    id: String,
}

/// What a node said to a call with the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Yes,
    No,
    Nothing,
}

struct Try {
    began: Instant,
    ended: Instant,
    said: Said,
}

/// Takes access away, one at a time.
pub struct Revoker {
    pub name: String,
    random: Random,
    calls: Arc<Calls>,
    client: Client,
    nodes: [Direct; NODES],
    round: u64,
    /// Tokens that are good no more, and refresh tokens.
    pub ended: Vec<(String, String)>,
    /// The longest that a node, or a stream that was open, has taken ended access for good.
    pub longest: Duration,
    /// How often a node has refused what it had taken before.
    pub refused: [u64; NODES],
}

impl Revoker {
    pub fn new(seed: u64, calls: Arc<Calls>, client: Client, nodes: [Direct; NODES]) -> Self {
        let (longest, refused) = (Duration::ZERO, [0; NODES]);
        let name = "revoker".to_owned();
        Self { name, random: Random(seed), calls, client, nodes, round: 0, ended: Vec::new(), longest, refused }
    }

    /// Gives access, has every node take it that can, takes it away, and looks on.
    pub async fn step(&mut self) {
        self.round += 1;
        // All of them in turn, whatever the seed.
        let way = WAYS[(self.round + self.random.below(2)) as usize % WAYS.len()];
        let holder = self.give(way).await;
        let (stop, stopping) = watch::channel(false);
        let mut tries = JoinSet::new();
        for node in 0..NODES {
            let (users, asked) = (self.nodes[node].clone(), (holder.token.clone(), holder.user_id.clone()));
            let stopping = stopping.clone();
            tries.spawn(async move { (node, knock(users, asked, stopping).await) });
        }
        tokio::time::sleep(TAKEN_WITHIN).await;
        let stream = (way == Way::ApiKey).then(|| {
            let node = self.random.below(NODES as u64) as usize;
            tokio::spawn(last_heard(self.nodes[node].clone(), holder.token.clone()))
        });
        let before = Instant::now();
        self.take(way, &holder).await;
        let at = Instant::now();
        tokio::time::sleep(REFUSED_WITHIN + TRIED_FOR).await;
        stop.send_replace(true);
        if let Some(stream) = stream {
            // One on a node that is frozen says nothing, and does not end either.
            stream.abort();
            if let Ok(Some(heard)) = stream.await {
                self.note(heard.saturating_duration_since(at), way, "a stream");
            }
        }
        while let Some(tried) = tries.join_next().await {
            let (node, tries) = tried.unwrap();
            self.judge(way, node, before..at, &tries);
        }
        self.ended.push((holder.token, holder.refresh_token));
    }

    /// Access was taken away between two moments.
    fn judge(&mut self, way: Way, node: usize, at: Range<Instant>, tries: &[Try]) {
        let early = tries.iter().any(|tried| tried.said == Said::No && tried.ended < at.start);
        assert!(!early, "{way:?}: node {} has refused what is good", node + 1);
        let refused = tries.iter().position(|tried| tried.said == Said::No);
        let taken = tries.iter().rposition(|tried| tried.said == Said::Yes);
        if let (Some(refused), Some(taken)) = (refused, taken) {
            assert!(taken < refused, "{way:?}: node {} took again what it had refused", node + 1);
            self.refused[node] += 1;
        }
        for tried in tries.iter().filter(|tried| tried.said == Said::Yes && tried.began > at.end) {
            self.note(tried.ended - at.end, way, &format!("node {}", node + 1));
        }
    }

    fn note(&mut self, longest: Duration, way: Way, whom: &str) {
        assert!(longest < REFUSED_WITHIN, "{way:?}: {whom} took ended access for good after {longest:?}");
        self.longest = self.longest.max(longest);
    }

    async fn surely<M: Clone, T>(
        &self,
        what: &str,
        message: M,
        call: impl AsyncFnMut(Request<M>) -> Result<tonic::Response<T>, tonic::Status>,
    ) -> T {
        let key = format!("{}-{}-{what}", self.name, self.round);
        let answer = self.calls.surely(&self.name, &key, message, call).await;
        answer.unwrap_or_else(|error| panic!("{what}: {error}"))
    }

    async fn give(&self, way: Way) -> Holder {
        let user_id = format!("{}-{}", self.name, self.round);
        let (mut users, mut auth) = (self.client.users(), self.client.auth());
        if way == Way::ApiKey {
            self.surely("user", new_user(&user_id), async |request| users.create_user(request).await).await;
            let scopes = ["users.read", "users.watch"].map(str::to_owned).into();
            let message = CreateApiKeyRequest {
                api_key: Some(ApiKey { name: user_id.clone(), scopes, ..Default::default() }),
                validate_only: false,
            };
            let made = self.surely("key", message, async |request| auth.create_api_key(request).await).await;
            let id = made.api_key.unwrap_or_default().id;
            return Holder { token: made.secret, refresh_token: String::new(), user_id, id };
        }
        let message = CreateUserRequest { password: PASSWORD.into(), ..new_user(&user_id) };
        self.surely("user", message, async |request| users.create_user(request).await).await;
        let message =
            SignInRequest { login: format!("{user_id}@example.com"), password: PASSWORD.into(), ..Default::default() };
        let signed_in = self.surely("sign-in", message, async |request| auth.sign_in(request).await).await;
        let tokens = signed_in.tokens.unwrap_or_default();
        Holder { token: tokens.access_token, refresh_token: tokens.refresh_token, user_id, id: signed_in.session_id }
    }

    async fn take(&self, way: Way, holder: &Holder) {
        let (mut users, mut auth) = (self.client.users(), self.client.auth());
        let (user_id, etag) = (holder.user_id.clone(), String::new());
        match way {
            Way::ApiKey => {
                let message = RevokeApiKeyRequest { api_key_id: holder.id.clone() };
                self.surely("end", message, async |request| auth.revoke_api_key(request).await).await;
            }
            Way::SignOut => self.sign_out(holder).await,
            Way::Session => {
                let message = RevokeSessionRequest { user_id, session_id: holder.id.clone() };
                self.surely("end", message, async |request| auth.revoke_session(request).await).await;
            }
            Way::AllSessions => {
                let message = RevokeAllSessionsRequest { user_id, keep_current: false };
                self.surely("end", message, async |request| auth.revoke_all_sessions(request).await).await;
            }
            Way::Password => {
                let new_password = format!("{PASSWORD} again");
                let message = ChangePasswordRequest { user_id, new_password, ..Default::default() };
                self.surely("end", message, async |request| users.change_password(request).await).await;
            }
            Way::Deactivated => {
                let message = DeactivateUserRequest { user_id, etag };
                self.surely("end", message, async |request| users.deactivate_user(request).await).await;
            }
            Way::Deleted => {
                let message = DeleteUserRequest { user_id, etag };
                self.surely("end", message, async |request| users.delete_user(request).await).await;
            }
        }
    }

    /// With the token that it ends: if the answer is lost, the retry is refused, because it has ended.
    async fn sign_out(&self, holder: &Holder) {
        let mut auth = self.client.auth();
        let key = format!("{}-{}-end", self.name, self.round);
        let signed_out = self.calls.surely(&self.name, &key, SignOutRequest {}, async |mut request| {
            request.metadata_mut().insert("authorization", format!("Bearer {}", holder.token).parse().unwrap());
            auth.sign_out(request).await
        });
        match signed_out.await {
            Ok(_) => {}
            Err(error) if error.code() == Code::Unauthenticated => {}
            Err(error) => panic!("sign out: {error}"),
        }
    }

    /// That no node takes anything of what has ended.
    pub async fn assert_all_ended(&mut self, mut auth: [AuthServiceClient<Channel>; NODES]) {
        for (token, refresh_token) in &self.ended {
            let asked = (token.clone(), self.name.clone());
            for (node, auth) in auth.iter_mut().enumerate() {
                assert_eq!(ask(&mut self.nodes[node], &asked).await, Said::No, "node {}", node + 1);
                if !refresh_token.is_empty() {
                    let message = RefreshTokenRequest { refresh_token: refresh_token.clone() };
                    let refused = auth.refresh_token(message).await.map_err(|status| status.code());
                    assert_eq!(refused.err(), Some(Code::Unauthenticated), "node {}", node + 1);
                }
            }
        }
    }
}

/// Calls with the token again and again until it is stopped. What is sent is waited for.
async fn knock(mut users: Direct, asked: (String, String), stopping: watch::Receiver<bool>) -> Vec<Try> {
    let mut tries = Vec::new();
    while !*stopping.borrow() {
        let began = Instant::now();
        let said = ask(&mut users, &asked).await;
        tries.push(Try { began, ended: Instant::now(), said });
        tokio::time::sleep(TRY_EVERY).await;
    }
    tries
}

async fn ask(users: &mut Direct, (token, user_id): &(String, String)) -> Said {
    let mut request = Request::new(GetUserRequest { user_id: user_id.clone() });
    request.set_timeout(TRY_MAX);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    match users.get_user(request).await.map_err(Error::from) {
        Ok(_) => Said::Yes,
        Err(error) if error.code() == Code::Unauthenticated => Said::No,
        // It was taken from somebody who is deleted.
        Err(error) if error.reason() == Some("USER_NOT_FOUND") => Said::Yes,
        Err(error) if is_passing(&error) => Said::Nothing,
        Err(error) => panic!("a call with a token: {error}"),
    }
}

/// When a watch with this token was last told of a change; `None` if it never was. Ends with the watch, or is ended.
async fn last_heard(mut users: Direct, token: String) -> Option<Instant> {
    let mut request = Request::new(WatchUsersRequest::default());
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    let mut stream = users.watch_users(request).await.ok()?.into_inner();
    let mut heard = None;
    while let Ok(Some(told)) = stream.message().await {
        if matches!(told.event, Some(Event::Change(_))) {
            heard = Some(Instant::now());
        }
    }
    heard
}
