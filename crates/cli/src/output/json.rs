//! Protobuf's [canonical JSON](https://protobuf.dev/programming-guides/json/), by reflection over the API's descriptors.

use std::sync::OnceLock;

use prost_reflect::{DescriptorPool, DynamicMessage};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// `message`, which is of the type that the protos call `name`, on one line.
pub fn canonical(message: &impl prost::Message, name: &str) -> Result<String, Error> {
    let descriptor = pool()?.get_message_by_name(name).ok_or("the descriptors lack it")?;
    let mut dynamic = DynamicMessage::new(descriptor);
    dynamic.transcode_from(message)?;
    Ok(serde_json::to_string(&dynamic)?)
}

fn pool() -> Result<&'static DescriptorPool, Error> {
    static POOL: OnceLock<DescriptorPool> = OnceLock::new();
    if let Some(pool) = POOL.get() {
        return Ok(pool);
    }
    let pool = DescriptorPool::decode(roster_api::DESCRIPTOR_SET)?;
    Ok(POOL.get_or_init(|| pool))
}

#[cfg(test)]
mod tests {
    use roster_api::user::v1::{Role, User, UserStatus};

    use super::*;

    #[test]
    fn a_user_in_canonical_json() {
        let user = User {
            id: "ada".into(),
            email: "ada@example.com".into(),
            status: UserStatus::Active.into(),
            role: Role::Admin.into(),
            created_at: Some(prost_types::Timestamp { seconds: 1, nanos: 500_000_000 }),
            age: Some(0),
            attributes: [("team".to_owned(), "a\nb".to_owned())].into(),
            email_verified: true,
            ..User::default()
        };
        assert_eq!(
            canonical(&user, "user.v1.User").unwrap(),
            r#"{"id":"ada","email":"ada@example.com","status":"USER_STATUS_ACTIVE","createdAt":"1970-01-01T00:00:01.500Z","#.to_owned()
                + r#""role":"ROLE_ADMIN","age":0,"attributes":{"team":"a\nb"},"emailVerified":true}"#
        );
    }
}
