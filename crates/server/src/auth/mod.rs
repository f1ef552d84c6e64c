//! Who calls, what they may do, and passwords.

mod api_key;
pub mod attempts;
mod authenticator;
mod caller;
mod common_passwords;
mod credential;
pub mod hasher;
mod keys;
mod known_callers;
pub mod one_time_token;
pub mod password;
mod phc;
mod pool;
pub mod refresh_token;
pub mod token;
mod uses;

pub use api_key::ApiKeySecret;
pub use attempts::{AttemptLimits, Attempts, Locked};
pub use authenticator::{AuthError, Authenticator, AuthenticatorError};
pub use caller::{Caller, Refusal, Service};
pub use credential::{Bearer, Credential, Shown};
pub use hasher::{HashError, HashParams, Hasher, HasherOptions, Verdict};
pub use keys::{KeyError, generate_signing_key};
pub use known_callers::{Known, KnownCallers, Recalled};
pub use one_time_token::OneTimeToken;
pub use password::{Password, PasswordHash};
pub use refresh_token::{Opened as OpenedRefreshToken, RefreshToken, RefreshTokens};
pub use token::{AccessToken, AccessTokens, IssuedToken, TokenOptions};
pub use uses::Uses;
