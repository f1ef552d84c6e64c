//! A request for every method that changes something, which does its work once, and another one of the same method.

use prost::Message;
use roster_api::{
    admin::v1::RotateSigningKeyRequest,
    auth::v1 as auth,
    compat::user as old,
    user::v1::{self as pb, user_service_client::UserServiceClient},
};
use tonic::transport::Channel;

use super::super::sign_in::{PASSWORD, sign_in, sign_up};
use crate::{
    api::mail::sending_to,
    catcher::Catcher,
    harness::{Server, with_email},
};

const NEW_PASSWORD: &str = "another horse battery";

/// What is called twice.
pub struct Case {
    pub request: Vec<u8>,
    /// Of the same method; `None` if there is but one.
    pub other: Option<Vec<u8>>,
    /// Rows that the call leaves in the change log.
    pub logged: i64,
    /// Who calls; `None` for a developer, or nobody.
    pub caller: Option<String>,
    /// Login and password of a caller whose session the call ends: with them they call again.
    pub signs_in_again: Option<(&'static str, &'static str)>,
}

impl Case {
    fn new(request: &impl Message, other: &impl Message) -> Self {
        let (request, other) = (request.encode_to_vec(), Some(other.encode_to_vec()));
        Self { request, other, logged: 1, caller: None, signs_in_again: None }
    }

    fn logged(self, logged: i64) -> Self {
        Self { logged, ..self }
    }
}

/// A server for development, and the mail server that it sends to.
pub struct Stage {
    pub server: Server,
    pub catcher: Catcher,
    users: UserServiceClient<Channel>,
}

impl Stage {
    pub async fn set() -> Self {
        let catcher = Catcher::start().await;
        let server = Server::start(sending_to(catcher.addr()));
        let users = UserServiceClient::new(server.channel().await);
        Self { server, catcher, users }
    }

    /// What is to be called at `path`; `None` if nobody has thought of it yet.
    pub async fn case(&mut self, path: &str) -> Option<Case> {
        let name = path.replace(['/', '.'], "-").to_lowercase();
        let name = name.trim_matches('-');
        let case = match path.split_once("Service/")? {
            ("/user.v1.User", method) => self.of_users(method, name).await?,
            ("/auth.v1.Auth", method) => self.of_sessions(method, name).await?,
            ("/roster.admin.v1.Admin", "RotateSigningKey") => {
                let request = RotateSigningKeyRequest {};
                Case { other: None, ..Case::new(&request, &request) }
            }
            ("/user.User", "CreateUser") => {
                let request = old::CreateUserRequest { email: "older@example.com".into(), ..Default::default() };
                Case::new(&request, &old::CreateUserRequest { full_name: "Ada".into(), ..request.clone() })
            }
            ("/user.User", "DeleteUser") => {
                let (id, other) = (sign_up(&self.server, "older1").await.id, sign_up(&self.server, "older2").await.id);
                Case::new(&old::DeleteUserRequest { id }, &old::DeleteUserRequest { id: other })
            }
            _ => return None,
        };
        Some(case)
    }

    async fn of_users(&mut self, method: &str, name: &str) -> Option<Case> {
        let email = || format!("{name}@example.com");
        if method == "CreateUser" {
            let request = pb::CreateUserRequest { password: PASSWORD.into(), ..with_email(&email()) };
            let other = pb::CreateUserRequest { password: "a guess of another".into(), ..request.clone() };
            return Some(Case::new(&request, &other));
        }
        let short = name.rsplit('-').next().unwrap();
        let pb::User { id: user_id, etag, .. } = sign_up(&self.server, short).await;
        let (email, id) = (|| format!("{short}@example.com"), || user_id.clone());
        let none = String::new;
        Some(match method {
            "UpdateUser" => {
                let request =
                    pb::UpdateUserRequest { user_id: id(), name: Some("Ada".into()), etag, ..Default::default() };
                Case::new(&request, &pb::UpdateUserRequest { name: Some("Bea".into()), ..request.clone() })
            }
            "DeleteUser" => Case::new(
                &pb::DeleteUserRequest { user_id: id(), etag },
                &pb::DeleteUserRequest { user_id: id(), etag: none() },
            ),
            "DeactivateUser" => Case::new(
                &pb::DeactivateUserRequest { user_id: id(), etag },
                &pb::DeactivateUserRequest { user_id: id(), etag: none() },
            ),
            "ReactivateUser" => {
                let request = pb::DeactivateUserRequest { user_id: id(), etag };
                let etag = self.users.deactivate_user(request).await.unwrap().into_inner().etag;
                Case::new(
                    &pb::ReactivateUserRequest { user_id: id(), etag },
                    &pb::ReactivateUserRequest { user_id: id(), etag: none() },
                )
            }
            "AddAddress" => Case::new(&add_address(&user_id, "1 Main Street"), &add_address(&user_id, "2 Main Street")),
            "UpdateAddress" => {
                let pb::Address { id: address_id, etag, .. } = self.address(&user_id).await;
                let address = Some(pb::Address { label: "Home".into(), ..Default::default() });
                let request =
                    pb::UpdateAddressRequest { user_id: id(), address_id, address, etag, ..Default::default() };
                Case::new(&request, &pb::UpdateAddressRequest { etag: none(), ..request.clone() })
            }
            "DeleteAddress" => {
                let pb::Address { id: address_id, etag, .. } = self.address(&user_id).await;
                let request = pb::DeleteAddressRequest { user_id: id(), address_id, etag };
                Case::new(&request, &pb::DeleteAddressRequest { etag: none(), ..request.clone() })
            }
            "SetDefaultAddress" => {
                let (first, second) = (self.address(&user_id).await.id, self.address(&user_id).await.id);
                Case::new(
                    &pb::SetDefaultAddressRequest { user_id: id(), address_id: second },
                    &pb::SetDefaultAddressRequest { user_id: id(), address_id: first },
                )
            }
            "UpdatePreferences" => {
                let request = pb::GetPreferencesRequest { user_id: id() };
                let etag = self.users.get_preferences(request).await.unwrap().into_inner().etag;
                let preferences = Some(pb::Preferences { language: "de".into(), ..Default::default() });
                let request = pb::UpdatePreferencesRequest { user_id: id(), preferences, etag, ..Default::default() };
                Case::new(&request, &pb::UpdatePreferencesRequest { etag: none(), ..request.clone() })
            }
            "SendVerificationEmail" => Case::new(
                &pb::SendVerificationEmailRequest { email: email() },
                &pb::SendVerificationEmailRequest { email: "nobody@example.com".into() },
            ),
            "RequestPasswordReset" => Case::new(
                &pb::RequestPasswordResetRequest { email: email() },
                &pb::RequestPasswordResetRequest { email: "nobody@example.com".into() },
            ),
            "VerifyEmail" => {
                let request = pb::SendVerificationEmailRequest { email: email() };
                self.users.send_verification_email(request).await.unwrap();
                let token = self.catcher.next().await.token();
                Case::new(&pb::VerifyEmailRequest { token }, &pb::VerifyEmailRequest { token: "x".into() })
            }
            "ResetPassword" => {
                let request = pb::RequestPasswordResetRequest { email: email() };
                self.users.request_password_reset(request).await.unwrap();
                let token = self.catcher.next().await.token();
                let request = pb::ResetPasswordRequest { token, new_password: NEW_PASSWORD.into() };
                // The password is set, and the address is verified with it.
                Case::new(&request, &pb::ResetPasswordRequest { new_password: PASSWORD.into(), ..request.clone() })
                    .logged(2)
            }
            "ChangePassword" => {
                let request = pb::ChangePasswordRequest {
                    user_id: id(),
                    current_password: PASSWORD.into(),
                    new_password: NEW_PASSWORD.into(),
                };
                let other =
                    pb::ChangePasswordRequest { new_password: "yet another password".into(), ..request.clone() };
                let caller = Some(self.session(short, PASSWORD).await.access_token);
                let signs_in_again = Some(("changepassword", NEW_PASSWORD));
                Case { caller, signs_in_again, ..Case::new(&request, &other) }
            }
            _ => return None,
        })
    }

    async fn of_sessions(&mut self, method: &str, name: &str) -> Option<Case> {
        let short = name.rsplit('-').next().unwrap();
        let user = sign_up(&self.server, short).await;
        Some(match method {
            "SignIn" => {
                let login = format!("{short}@example.com");
                let request = auth::SignInRequest { login, password: PASSWORD.into(), device: "a phone".into() };
                Case::new(&request, &auth::SignInRequest { device: "another".into(), ..request.clone() })
            }
            "RefreshToken" => {
                let refresh_token = self.session(short, PASSWORD).await.refresh_token;
                let another = self.session(short, PASSWORD).await.refresh_token;
                Case::new(
                    &auth::RefreshTokenRequest { refresh_token },
                    &auth::RefreshTokenRequest { refresh_token: another },
                )
                .logged(0)
            }
            "RevokeSession" => {
                let mut client = self.server.auth().await;
                let signed_in = sign_in(&mut client, short, PASSWORD).await.unwrap();
                let request = auth::RevokeSessionRequest { user_id: user.id.clone(), session_id: signed_in.session_id };
                let other = sign_in(&mut client, short, PASSWORD).await.unwrap().session_id;
                Case::new(&request, &auth::RevokeSessionRequest { user_id: user.id, session_id: other })
            }
            "RevokeAllSessions" => {
                self.session(short, PASSWORD).await;
                let request = auth::RevokeAllSessionsRequest { user_id: user.id, keep_current: false };
                Case::new(&request, &auth::RevokeAllSessionsRequest { keep_current: true, ..request.clone() })
            }
            "CreateApiKey" => Case::new(&create_api_key("first"), &create_api_key("second")),
            "RevokeApiKey" => {
                let mut client = self.server.auth().await;
                let mut made = Vec::new();
                for name in ["first", "second"] {
                    let key = client.create_api_key(create_api_key(name)).await.unwrap().into_inner();
                    made.push(auth::RevokeApiKeyRequest { api_key_id: key.api_key.unwrap().id });
                }
                Case::new(&made[0], &made[1])
            }
            _ => return None,
        })
    }

    async fn address(&mut self, user_id: &str) -> pb::Address {
        self.users.add_address(add_address(user_id, "3 Main Street")).await.unwrap().into_inner()
    }

    /// A session of this user.
    pub async fn session(&self, login: &str, password: &str) -> auth::Tokens {
        sign_in(&mut self.server.auth().await, login, password).await.unwrap().tokens.unwrap()
    }

    /// Who calls again.
    pub async fn caller_of_retry(&self, case: &Case) -> Option<String> {
        match case.signs_in_again {
            Some((login, password)) => Some(self.session(login, password).await.access_token),
            None => case.caller.clone(),
        }
    }
}

fn add_address(user_id: &str, line1: &str) -> pb::AddAddressRequest {
    let address = Some(pb::Address {
        kind: pb::AddressKind::Shipping.into(),
        line1: line1.into(),
        city: "Berlin".into(),
        country: "DE".into(),
        ..Default::default()
    });
    pb::AddAddressRequest { user_id: user_id.into(), address, ..Default::default() }
}

fn create_api_key(name: &str) -> auth::CreateApiKeyRequest {
    let api_key = auth::ApiKey { name: name.into(), scopes: vec!["users.read".into()], ..Default::default() };
    auth::CreateApiKeyRequest { api_key: Some(api_key), validate_only: false }
}
