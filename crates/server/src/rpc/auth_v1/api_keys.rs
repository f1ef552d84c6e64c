//! Messages about API keys to inputs of the use cases, and back.

use roster_api::auth::v1 as api;

use crate::{
    model::{ApiKey, Permission},
    ops::{ApiKeyInput, ApiKeyPage, CreateApiKeyInput, CreatedApiKey},
    rpc::time::timestamp,
};

impl From<api::CreateApiKeyRequest> for CreateApiKeyInput {
    fn from(request: api::CreateApiKeyRequest) -> Self {
        let api_key = request.api_key.map(|key| ApiKeyInput {
            name: key.name,
            scopes: key.scopes,
            expires_at: key.expires_at.map(|at| (at.seconds, at.nanos)),
        });
        Self { api_key, validate_only: request.validate_only }
    }
}

pub(super) fn created_response(created: CreatedApiKey) -> api::CreateApiKeyResponse {
    api::CreateApiKeyResponse {
        api_key: Some(message(created.key)),
        secret: created.secret.map(|secret| secret.into_string()).unwrap_or_default(),
    }
}

pub(super) fn list_response(page: ApiKeyPage) -> api::ListApiKeysResponse {
    api::ListApiKeysResponse {
        api_keys: page.keys.into_iter().map(message).collect(),
        next_page_token: page.next_page_token.unwrap_or_default(),
    }
}

fn message(key: ApiKey) -> api::ApiKey {
    api::ApiKey {
        id: key.id.to_string(),
        name: key.name,
        prefix: key.prefix,
        scopes: key.scopes.iter().map(Permission::name).map(str::to_owned).collect(),
        expires_at: key.expires_at.map(timestamp),
        created_at: Some(timestamp(key.created_at)),
        last_used_at: key.last_used_at.map(timestamp),
        created_by: key.created_by.map(|id| id.to_text()).unwrap_or_default(),
    }
}
