//! Who calls, what they may do, and passwords.

mod api_key;
mod authenticator;
mod caller;
mod credential;
pub mod hasher;
mod keys;
pub mod password;
mod phc;
mod pool;
pub mod token;
mod uses;

pub use api_key::ApiKeySecret;
pub use authenticator::{AuthError, Authenticator, AuthenticatorError, Recalled};
pub use caller::{Caller, Refusal, Service};
pub use credential::{Bearer, Credential, Shown};
pub use hasher::{HashError, HashParams, Hasher, HasherOptions};
pub use keys::{KeyError, generate_signing_key};
pub use password::{Password, PasswordHash};
pub use token::{AccessToken, AccessTokens, IssuedToken, TokenOptions};
pub use uses::Uses;
