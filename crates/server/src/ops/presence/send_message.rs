//! A client comes, goes, or is still there.

use super::{check_own_or, quota};
use crate::{
    model::{Permission, Violations, inputs},
    ops::{Ctx, Error, Ops},
    presence::Said,
};

/// The permission to speak for any client.
pub(super) const PERMISSION: Permission = Permission::PresenceWrite;

/// Which messages a caller's proto has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vocabulary {
    /// HELLO and GOODBYE.
    Old,
    /// PING and HEARTBEAT too.
    Full,
}

/// A `SendMessageRequest`.
#[derive(Clone, Debug)]
pub struct SendMessageInput {
    /// Whose message it is.
    pub client_id: String,
    /// By the number that both protos have.
    pub message_type: i32,
    /// What that may be.
    pub vocabulary: Vocabulary,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendMessageOutput {
    /// For people.
    pub message: String,
    /// Whether the client is connected now.
    pub connected: bool,
}

/// The message of this number, or what is allowed.
pub(super) fn said(number: i32, vocabulary: Vocabulary) -> Result<Said, String> {
    match (number, vocabulary) {
        (1, _) => Ok(Said::Hello),
        (2, _) => Ok(Said::Goodbye),
        (3, Vocabulary::Full) => Ok(Said::Ping),
        (4, Vocabulary::Full) => Ok(Said::Heartbeat),
        (other, Vocabulary::Old) => Err(format!("{other} is no message; use HELLO (1) or GOODBYE (2)")),
        (other, Vocabulary::Full) => {
            Err(format!("{other} is no message; use HELLO (1), GOODBYE (2), PING (3) or HEARTBEAT (4)"))
        }
    }
}

impl Ops {
    /// Takes the message of a client.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::Refused`]; [`Error::Plain`] if there is no room for the client.
    pub fn send_message(&self, ctx: &Ctx, input: &SendMessageInput) -> Result<SendMessageOutput, Error> {
        let mut violations = Violations::new();
        let client_id = violations.check("client_id", inputs::parse_client_id(&input.client_id));
        if let Some(client_id) = client_id {
            check_own_or(&ctx.caller, client_id, PERMISSION)?;
        }
        let said = violations.check("message_type", said(input.message_type, input.vocabulary));
        let (Some(client_id), Some(said)) = (client_id, said) else { return Err(violations.into()) };
        let connected = self.desk.presence.say(client_id, said, quota(ctx, client_id), self.desk.ticker.now())?;
        let state = if connected { "connected" } else { "disconnected" };
        Ok(SendMessageOutput { message: format!("client {client_id} is {state}"), connected })
    }
}
