//! A user's message in the form that goes over the wire. Servers keep users so, and hand them on as they are.

use bytes::{BufMut, Bytes};
use prost::{
    DecodeError, Message,
    encoding::{DecodeContext, WireType},
};

use crate::user::v1::User;

/// A [`User`], encoded. As a message it is that user; to encode it is to copy its bytes.
///
/// ```
/// use roster_api::{encoded::EncodedUser, user::v1::User};
///
/// let ada = User { id: "ada".into(), name: "Ada".into(), ..Default::default() };
/// let encoded = EncodedUser::from(&ada);
/// assert_eq!(encoded.decode(), Ok(ada));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EncodedUser(Bytes);

impl EncodedUser {
    /// Takes these bytes for a user's. They are not looked at: what is none only its reader will notice.
    #[must_use]
    pub fn from_bytes(bytes: Bytes) -> Self {
        Self(bytes)
    }

    /// The message's bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    /// The message.
    ///
    /// # Errors
    /// The bytes are no user's.
    pub fn decode(&self) -> Result<User, DecodeError> {
        User::decode(&self.0[..])
    }
}

impl From<&User> for EncodedUser {
    fn from(user: &User) -> Self {
        Self(user.encode_to_vec().into())
    }
}

impl Message for EncodedUser {
    fn encode_raw(&self, buffer: &mut impl BufMut) {
        buffer.put_slice(&self.0);
    }

    /// Servers only encode; decoding takes the long way, by the message.
    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buffer: &mut impl bytes::Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError> {
        let mut user = self.decode()?;
        user.merge_field(tag, wire_type, buffer, context)?;
        *self = Self::from(&user);
        Ok(())
    }

    fn encoded_len(&self) -> usize {
        self.0.len()
    }

    fn clear(&mut self) {
        self.0.clear();
    }
}
