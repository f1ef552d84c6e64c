//! Secrets of the installation, such as the key that page tokens are signed with, and answers that need not be kept any
//! more.

use super::Command;
use crate::{model::Timestamp, store::StoreError};

/// See [`crate::store::Store::secret`].
pub struct Secret {
    pub name: &'static str,
}

impl Secret {
    /// One that nobody knows, in case there is none.
    pub fn fresh() -> Result<[u8; 32], StoreError> {
        let mut fresh = [0; 32];
        getrandom::fill(&mut fresh).map_err(|error| StoreError::Unavailable(error.to_string()))?;
        Ok(fresh)
    }
}

impl Command for Secret {
    type Output = [u8; 32];
}

/// See [`crate::store::AnswerStore::purge_answers`].
pub struct PurgeAnswers {
    pub now: Timestamp,
    pub limit: u32,
}

impl Command for PurgeAnswers {
    type Output = u32;
}
