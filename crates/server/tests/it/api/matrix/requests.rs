//! A request for every method that names a user, and that changes nothing where it is let through.

use prost::Message;
use roster_api::{
    admin::v1::GetMailRequest,
    auth::v1 as auth,
    compat::{notification as old_notification, user as old},
    notification::v1 as notification,
    user::v1 as pb,
};

/// No etag of anything.
const STALE: &str = "0-0";
/// The id of nothing below a user.
const NOTHING: &str = "00000000-0000-7000-8000-000000000000";

/// The message for the method at `path`, about the user with this id. A user's email is `ID@example.com`.
pub fn about(path: &str, id: &str) -> Vec<u8> {
    let user_id = || id.to_owned();
    let email = || format!("{id}@example.com");
    let etag = || STALE.to_owned();
    let nothing = || NOTHING.to_owned();
    let (service, method) = path[1..].split_once('/').unwrap();
    match (service, method) {
        ("user.v1.UserService", method) => match method {
            // Lacks the address.
            "CreateUser" => pb::CreateUserRequest::default().encode_to_vec(),
            "GetUser" => pb::GetUserRequest { user_id: user_id() }.encode_to_vec(),
            "GetUserByEmail" => pb::GetUserByEmailRequest { email: email() }.encode_to_vec(),
            "UpdateUser" => {
                pb::UpdateUserRequest { user_id: user_id(), name: Some("x".into()), etag: etag(), ..Default::default() }
                    .encode_to_vec()
            }
            "DeleteUser" => pb::DeleteUserRequest { user_id: user_id(), etag: etag() }.encode_to_vec(),
            "DeactivateUser" => pb::DeactivateUserRequest { user_id: user_id(), etag: etag() }.encode_to_vec(),
            "ReactivateUser" => pb::ReactivateUserRequest { user_id: user_id(), etag: etag() }.encode_to_vec(),
            "AddAddress" => {
                let address = Some(pb::Address {
                    kind: pb::AddressKind::Shipping.into(),
                    line1: "1 Main Street".into(),
                    city: "Berlin".into(),
                    country: "DE".into(),
                    ..Default::default()
                });
                pb::AddAddressRequest { user_id: user_id(), address, validate_only: true, ..Default::default() }
                    .encode_to_vec()
            }
            "GetAddress" => pb::GetAddressRequest { user_id: user_id(), address_id: nothing() }.encode_to_vec(),
            "UpdateAddress" => {
                let address = Some(pb::Address { label: "x".into(), ..Default::default() });
                pb::UpdateAddressRequest { user_id: user_id(), address_id: nothing(), address, ..Default::default() }
                    .encode_to_vec()
            }
            "DeleteAddress" => {
                pb::DeleteAddressRequest { user_id: user_id(), address_id: nothing(), ..Default::default() }
                    .encode_to_vec()
            }
            "ListAddresses" => pb::ListAddressesRequest { user_id: user_id(), kind: 0 }.encode_to_vec(),
            "SetDefaultAddress" => {
                pb::SetDefaultAddressRequest { user_id: user_id(), address_id: nothing() }.encode_to_vec()
            }
            // Too short to be taken.
            "ChangePassword" => {
                pb::ChangePasswordRequest { user_id: user_id(), new_password: "x".into(), ..Default::default() }
                    .encode_to_vec()
            }
            "GetPreferences" => pb::GetPreferencesRequest { user_id: user_id() }.encode_to_vec(),
            "UpdatePreferences" => {
                let preferences = Some(pb::Preferences { language: "de".into(), ..Default::default() });
                pb::UpdatePreferencesRequest { user_id: user_id(), preferences, etag: etag(), ..Default::default() }
                    .encode_to_vec()
            }
            // Beats too seldom to be taken, and would never end.
            "WatchUsers" => {
                let heartbeat_interval = Some(prost_types::Duration { seconds: 301, nanos: 0 });
                pb::WatchUsersRequest { heartbeat_interval, ..Default::default() }.encode_to_vec()
            }
            _ => Vec::new(),
        },
        ("auth.v1.AuthService", method) => match method {
            "ListSessions" => auth::ListSessionsRequest { user_id: user_id(), ..Default::default() }.encode_to_vec(),
            "RevokeSession" => auth::RevokeSessionRequest { user_id: user_id(), session_id: nothing() }.encode_to_vec(),
            "RevokeAllSessions" => {
                // Of a user without sessions unless it is the caller, who keeps theirs.
                auth::RevokeAllSessionsRequest { user_id: user_id(), keep_current: true }.encode_to_vec()
            }
            "RevokeApiKey" => auth::RevokeApiKeyRequest { api_key_id: nothing() }.encode_to_vec(),
            _ => Vec::new(),
        },
        ("notification.v1.NotificationService", method) => match method {
            "SendMessage" => {
                let ping = notification::MessageType::Ping.into();
                notification::SendMessageRequest { client_id: user_id(), message_type: ping }.encode_to_vec()
            }
            "GetClientStatus" => {
                notification::GetClientStatusRequest { client_id: user_id(), ..Default::default() }.encode_to_vec()
            }
            // Ends with this one message.
            "Connect" => notification::ConnectRequest { client_id: user_id(), message_type: 0 }.encode_to_vec(),
            "WatchClientStatus" => {
                notification::WatchClientStatusRequest { client_ids: vec![user_id()], ..Default::default() }
                    .encode_to_vec()
            }
            _ => Vec::new(),
        },
        ("roster.admin.v1.AdminService", "GetMail") => GetMailRequest { mail_id: nothing() }.encode_to_vec(),
        ("user.UserService", "GetUser") => old::GetUserRequest { id: user_id() }.encode_to_vec(),
        ("user.UserService", "DeleteUser") => old::DeleteUserRequest { id: user_id() }.encode_to_vec(),
        ("NotificationService", "SendMessage") => {
            let goodbye = old_notification::MessageType::Goodbye.into();
            old_notification::SendMessageRequest { client_id: user_id(), message_type: goodbye }.encode_to_vec()
        }
        ("NotificationService", "GetClientStatus") => {
            old_notification::GetClientStatusRequest { client_id: user_id() }.encode_to_vec()
        }
        _ => Vec::new(),
    }
}

/// What the holder of one permission could do to hold them all: to make an administrator, or to become one.
pub fn climbing(administrator: &str, plain: &str) -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let admin = pb::Role::Admin.into();
    let create = pb::CreateUserRequest { email: "climber@example.com".into(), role: admin, ..Default::default() };
    let promote = pb::UpdateUserRequest { user_id: plain.into(), role: Some(admin), ..Default::default() };
    let take_over = pb::UpdateUserRequest {
        user_id: administrator.into(),
        email: Some("climber@example.com".into()),
        ..Default::default()
    };
    let new_password = "a password of the climber".to_owned();
    let reset = pb::ChangePasswordRequest { user_id: administrator.into(), new_password, ..Default::default() };
    let delete = pb::DeleteUserRequest { user_id: administrator.into(), ..Default::default() };
    vec![
        ("users.create", "/user.v1.UserService/CreateUser", create.encode_to_vec()),
        ("users.update", "/user.v1.UserService/UpdateUser", promote.encode_to_vec()),
        ("users.update", "/user.v1.UserService/UpdateUser", take_over.encode_to_vec()),
        ("passwords.write", "/user.v1.UserService/ChangePassword", reset.encode_to_vec()),
        ("users.delete", "/user.v1.UserService/DeleteUser", delete.encode_to_vec()),
    ]
}
