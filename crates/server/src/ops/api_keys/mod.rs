//! Use cases about API keys, one a file.

mod create_api_key;
mod list_api_keys;
mod revoke_api_key;

pub use self::{
    create_api_key::{ApiKeyInput, CreateApiKeyInput, CreatedApiKey},
    list_api_keys::ApiKeyPage,
};
