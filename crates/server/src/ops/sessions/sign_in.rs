//! Signs a user in.
//!
//! A login that nobody has, a wrong password, no password and an inactive user get one answer, after the same work: one
//! read, one hash, one commit.

use std::sync::atomic::{AtomicBool, Ordering};

use super::{Tokens, outcomes::Failure};
use crate::{
    auth::{Password, attempts::Target},
    model::{Actor, ChangeMeta, Session, SessionId, UserId, Violations, inputs, text::unique_key},
    ops::{Ctx, Error, Ops, Reason},
    store::{Answer as _, Login, LoginKey, NewSession, StoreError},
};

/// How often a password is checked while it changes under our hands: another sign-in makes an imported hash anew.
const CHECKS_MAX: usize = 3;

/// A `SignInRequest`, not yet checked.
pub struct SignInInput {
    /// Email or username.
    pub login: String,
    /// In clear.
    pub password: String,
    /// What the client calls itself; its user agent if empty.
    pub device: String,
}

/// A session that has begun.
#[derive(Debug)]
pub struct SignedIn {
    /// Who signed in.
    pub user_id: UserId,
    /// The session.
    pub session_id: SessionId,
    /// Its tokens.
    pub tokens: Tokens,
}

/// A `SignInRequest`, checked.
struct Request {
    key: LoginKey,
    password: Password,
    device: String,
}

impl Ops {
    /// Begins a session.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::Unauthenticated`], [`Error::AccountLocked`], [`Error::HashingBusy`], and those of
    /// the store.
    pub async fn sign_in(&self, ctx: &Ctx, input: SignInInput) -> Result<SignedIn, Error> {
        let outcome = self.try_sign_in(ctx, input).await;
        self.sign_ins.count(&outcome);
        outcome
    }

    async fn try_sign_in(&self, ctx: &Ctx, input: SignInInput) -> Result<SignedIn, Error> {
        let request = parse(ctx, input)?;
        let _turn = self.turn(ctx).await?;
        let login = self.store.find_login(request.key.clone()).await?;
        let user_id = login.as_ref().map(|login| login.user_id.clone());
        let (LoginKey::Email(name) | LoginKey::Username(name)) = &request.key;
        let attempt = self.begin_attempt(ctx, user_id.as_ref().map_or(Target::Nobody(name), Target::Account)).await?;
        // A key that was used counts as a guess as well, or it would be a way to guess without end.
        let was_right = AtomicBool::new(false);
        let begin = async {
            let signed_in = self.sign_in_with(ctx, &request, login).await;
            was_right.store(signed_in.is_ok(), Ordering::Relaxed);
            signed_in
        };
        let signed_in = self.once_in_turn(ctx, begin).await;
        match &signed_in {
            // An answer of before says nothing of the password of today.
            Ok(_) if was_right.load(Ordering::Relaxed) => self.attempts.succeeded(&attempt).await,
            Err(Error::Unauthenticated(_) | Error::KeyReused) => {}
            _ => self.attempts.unjudged(&attempt).await,
        }
        signed_in
    }

    async fn sign_in_with(&self, ctx: &Ctx, request: &Request, mut login: Option<Login>) -> Result<SignedIn, Error> {
        let user_id = login.as_ref().map(|login| login.user_id.clone());
        let mut failure = Failure::WrongPassword;
        for _ in 0..CHECKS_MAX {
            let Some(new) = self.check_login(ctx, request, login.as_ref()).await? else {
                failure = match &login {
                    None => Failure::UnknownLogin,
                    Some(login) if login.password_hash.is_none() => Failure::NoPassword,
                    Some(_) => Failure::WrongPassword,
                };
                break;
            };
            match self.begin_session(ctx, login.as_ref(), new).await {
                Ok(signed_in) => return Ok(signed_in),
                Err(Begin::PasswordChanged) => login = self.store.find_login(request.key.clone()).await?,
                Err(Begin::MayNotSignIn) => {
                    failure = Failure::Inactive;
                    break;
                }
                Err(Begin::Failed(error)) => return Err(error),
            }
        }
        self.sign_ins.fail(failure);
        let meta = ctx.change(self.clock.now(), false);
        self.store.fail_sign_in(user_id, Reason::SignInFailed.name(), meta).await?;
        Err(Error::Unauthenticated(Reason::SignInFailed))
    }

    /// The session to begin if the password is right.
    async fn check_login(
        &self,
        ctx: &Ctx,
        request: &Request,
        login: Option<&Login>,
    ) -> Result<Option<NewSession>, Error> {
        let hash = login.and_then(|login| login.password_hash.clone());
        let verdict = self.hasher.verify(request.password.clone(), hash.clone()).await?;
        let (true, Some(login), Some(verified)) = (verdict.matches, login, hash) else { return Ok(None) };
        let now = self.clock.now();
        let id = SessionId::generate(now);
        let session = Session {
            id,
            user_id: login.user_id.clone(),
            device: request.device.clone(),
            remote_address: ctx.remote_address(),
            created_at: now,
            last_used_at: now,
            expires_at: self.idle_end(now),
        };
        // The first refresh token is made with the tokens, when the session has begun.
        Ok(Some(NewSession { session, refresh_hash: [0; 32], verified, rehashed: verdict.rehashed }))
    }

    async fn begin_session(&self, ctx: &Ctx, login: Option<&Login>, mut new: NewSession) -> Result<SignedIn, Begin> {
        let Some(login) = login else { return Err(Begin::MayNotSignIn) };
        let Session { id, created_at, expires_at, .. } = new.session;
        let refresh = self.new_refresh_token(id, 0).map_err(Begin::Failed)?;
        let access = self.new_access_token(&login.user_id, id, login.role, created_at).map_err(Begin::Failed)?;
        new.refresh_hash = refresh.hash;
        let meta = ChangeMeta { actor: Actor::User(login.user_id.clone()), ..ctx.change(created_at, false) };
        let tokens = Tokens { access, refresh, refresh_expires_at: expires_at };
        let signed_in = SignedIn { user_id: login.user_id.clone(), session_id: id, tokens };
        let meta = meta.answering(|| signed_in.to_kept()).map_err(|error| Begin::Failed(error.into()))?;
        match self.store.create_session(new, meta).await {
            Ok(()) => Ok(signed_in),
            Err(StoreError::Stale) => Err(Begin::PasswordChanged),
            Err(StoreError::NotFound) => Err(Begin::MayNotSignIn),
            Err(error) => Err(Begin::Failed(error.into())),
        }
    }
}

/// Why no session began.
enum Begin {
    /// Since it was checked.
    PasswordChanged,
    /// The user is gone or inactive by now.
    MayNotSignIn,
    Failed(Error),
}

fn parse(ctx: &Ctx, input: SignInInput) -> Result<Request, Violations> {
    let mut violations = Violations::new();
    let key = violations.check("login", parse_login(&input.login));
    let password = violations.check("password", Password::given(input.password));
    let device = match input.device.as_str() {
        // Visible ASCII, as the headers of HTTP are.
        "" => Some(ctx.user_agent.as_str().chars().take(inputs::DEVICE_MAX_CHARS).collect()),
        device => violations.check("device", inputs::parse_device(device)),
    };
    match (key, password, device) {
        (Some(key), Some(password), Some(device)) => Ok(Request { key, password, device }),
        _ => Err(violations),
    }
}

/// No username has an `@`, and every email has.
fn parse_login(login: &str) -> Result<LoginKey, String> {
    if login.is_empty() {
        return Err("is required".to_owned());
    }
    if login.len() > inputs::EMAIL_MAX_BYTES {
        return Err(format!("has {} bytes; at most {} are allowed", login.len(), inputs::EMAIL_MAX_BYTES));
    }
    let key = unique_key(login);
    Ok(if key.contains('@') { LoginKey::Email(key) } else { LoginKey::Username(key) })
}
