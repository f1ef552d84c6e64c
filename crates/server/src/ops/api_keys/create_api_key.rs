//! Creates an API key.

use serde::{Deserialize, Serialize};

use crate::{
    auth::{ApiKeySecret, Caller, Refusal},
    model::{ApiKey, ApiKeyId, Grant, Permission, Timestamp, UserId, Violations, inputs},
    ops::{Ctx, Error, Ops, Reason},
    store::{
        Answer, NewApiKey, StoreError,
        answers::{from_json, to_json},
    },
};

/// The permission to create keys.
const PERMISSION: Permission = Permission::ApiKeysWrite;

/// A `CreateApiKeyRequest`, not yet checked.
#[derive(Clone, Debug, Default)]
pub struct CreateApiKeyInput {
    /// Required.
    pub api_key: Option<ApiKeyInput>,
    /// Check everything, change nothing.
    pub validate_only: bool,
}

/// The key of such a request.
#[derive(Clone, Debug, Default)]
pub struct ApiKeyInput {
    /// Required.
    pub name: String,
    /// Names of permissions.
    pub scopes: Vec<String>,
    /// Seconds and nanoseconds since the epoch; `None` for never.
    pub expires_at: Option<(i64, i32)>,
}

/// A key that was created.
#[derive(Debug)]
pub struct CreatedApiKey {
    /// Its record.
    pub key: ApiKey,
    /// The key itself; `None` if it was only checked.
    pub secret: Option<ApiKeySecret>,
}

impl Ops {
    /// Creates an API key. Nobody can give what they lack themselves.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Invalid`], [`Reason::ApiKeyLimitReached`], and those of the store.
    pub async fn create_api_key(&self, ctx: &Ctx, input: CreateApiKeyInput) -> Result<CreatedApiKey, Error> {
        ctx.caller.check(PERMISSION)?;
        // Nobody's role would bound the key, and it would outlive what the configuration lets the service do.
        if matches!(ctx.caller, Caller::Service(_)) {
            return Err(Refusal::Lacks(PERMISSION).into());
        }
        let CreateApiKeyInput { api_key, validate_only } = input;
        if let Some(wanted) = &api_key {
            inputs::known_scopes(&wanted.scopes).iter().try_for_each(|scope| ctx.caller.check(scope))?;
        }
        let (key, secret) = self.parse_api_key(ctx, api_key)?;
        let new = NewApiKey { key: key.clone(), hash: secret.hash() };
        let created = CreatedApiKey { key, secret: (!validate_only).then_some(secret) };
        let ctx = ctx.unless_rehearsed(validate_only);
        self.once(&ctx, async {
            let meta = ctx.change(new.key.created_at, validate_only).answering(|| created.to_kept())?;
            self.store.create_api_key(new, meta).await.map_err(|error| match error {
                StoreError::LimitReached => Error::Precondition(Reason::ApiKeyLimitReached),
                other => other.into(),
            })?;
            Ok(created)
        })
        .await
    }

    fn parse_api_key(&self, ctx: &Ctx, input: Option<ApiKeyInput>) -> Result<(ApiKey, ApiKeySecret), Error> {
        let mut violations = Violations::new();
        let Some(input) = input else {
            violations.add("api_key", "is required");
            return Err(violations.into());
        };
        let now = self.clock.now();
        let name = violations.check("api_key.name", inputs::parse_api_key_name(&input.name));
        let scopes = violations.check("api_key.scopes", inputs::parse_scopes(&input.scopes));
        let expires_at =
            input.expires_at.and_then(|at| violations.check("api_key.expires_at", inputs::parse_key_expiry(at, now)));
        let (Some(name), Some(scopes), true) = (name, scopes, violations.is_empty()) else {
            return Err(violations.into());
        };
        let (id, secret) = ApiKeySecret::generate(now).map_err(Error::Internal)?;
        let key = ApiKey {
            id,
            name,
            prefix: secret.prefix().to_owned(),
            scopes,
            expires_at,
            created_at: now,
            last_used_at: None,
            created_by: answers_for(&ctx.caller),
        };
        Ok((key, secret))
    }
}

/// The user whose role bounds what the caller's new key may do. Of a key that makes keys it is the one who made it, so
/// that nobody keeps more than their role gives by way of a second key.
fn answers_for(caller: &Caller) -> Option<UserId> {
    match caller {
        Caller::Granted(live) => match &live.grant {
            Grant::Session { user_id, .. } => Some(user_id.clone()),
            Grant::ApiKey { created_by, .. } => created_by.clone(),
        },
        _ => None,
    }
}

/// A key in the form in which it is kept for a retry, sealed. Nobody has used it when it is answered.
#[derive(Serialize, Deserialize)]
struct KeptApiKey {
    id: ApiKeyId,
    name: String,
    secret: String,
    scopes: Vec<String>,
    expires_at: Option<Timestamp>,
    created_at: Timestamp,
    created_by: Option<UserId>,
}

impl Answer for CreatedApiKey {
    fn to_kept(&self) -> Result<Vec<u8>, StoreError> {
        let Self { key, secret } = self;
        to_json(&KeptApiKey {
            id: key.id,
            name: key.name.clone(),
            secret: secret.clone().map(ApiKeySecret::into_string).unwrap_or_default(),
            scopes: key.scopes.iter().map(|scope| scope.name().to_owned()).collect(),
            expires_at: key.expires_at,
            created_at: key.created_at,
            created_by: key.created_by.clone(),
        })
    }

    fn from_kept(kept: &[u8]) -> Result<Self, StoreError> {
        let kept: KeptApiKey = from_json(kept)?;
        let damaged = || StoreError::Corrupt("a kept API key is none".into());
        let secret = ApiKeySecret::from_kept(kept.secret).ok_or_else(damaged)?;
        let key = ApiKey {
            id: kept.id,
            name: kept.name,
            prefix: secret.prefix().to_owned(),
            scopes: inputs::known_scopes(&kept.scopes),
            expires_at: kept.expires_at,
            created_at: kept.created_at,
            last_used_at: None,
            created_by: kept.created_by,
        };
        Ok(Self { key, secret: Some(secret) })
    }
}
