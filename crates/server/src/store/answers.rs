//! The first answers to calls that have an idempotency key, as a store keeps them.
//!
//! An answer is kept by the commit that makes it true. A command of a call that was answered already is not run:
//! [`StoreError::KeyUsed`].

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use super::{StoreError, StoredUser};
use crate::model::{Address, ChangeMeta, Preferences, Timestamp, UserId};

/// How long an answer is kept.
pub const ANSWERS_KEPT: Duration = Duration::from_hours(24);

/// The time from which an answer that is given now is kept no longer.
#[must_use]
pub fn kept_until(now: Timestamp) -> Timestamp {
    Timestamp(now.0.saturating_add(i64::try_from(ANSWERS_KEPT.as_micros()).unwrap_or(i64::MAX)))
}

/// A call that was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// Of its request; see [`Idempotency`](crate::model::Idempotency).
    pub request: [u8; 32],
    /// What it was answered with, sealed; `None` if the user that it was about has been deleted since.
    pub sealed: Option<Vec<u8>>,
}

/// Answers that were kept.
#[async_trait]
pub trait AnswerStore {
    /// The answer to the call with this id, if it is still kept.
    async fn find_answer(&self, id: [u8; 32], now: Timestamp) -> Result<Option<Answered>, StoreError>;

    /// Removes up to `limit` answers that need not be kept any more; how many.
    async fn purge_answers(&self, now: Timestamp, limit: u32) -> Result<u32, StoreError>;
}

/// What can be answered again, in the form that is kept.
pub trait Answer: Sized {
    /// To be read by [`Answer::from_kept`].
    ///
    /// # Errors
    /// [`StoreError::Internal`]: it has no such form.
    fn to_kept(&self) -> Result<Vec<u8>, StoreError>;

    /// What was kept.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`]: it was nothing of this type.
    fn from_kept(kept: &[u8]) -> Result<Self, StoreError>;
}

impl Answer for () {
    fn to_kept(&self) -> Result<Vec<u8>, StoreError> {
        Ok(Vec::new())
    }

    fn from_kept(kept: &[u8]) -> Result<Self, StoreError> {
        if kept.is_empty() { Ok(()) } else { Err(StoreError::Corrupt("a kept answer is not empty".into())) }
    }
}

impl Answer for StoredUser {
    fn to_kept(&self) -> Result<Vec<u8>, StoreError> {
        Ok(self.as_bytes().to_vec())
    }

    fn from_kept(kept: &[u8]) -> Result<Self, StoreError> {
        Ok(Self::from_bytes(Bytes::copy_from_slice(kept)))
    }
}

/// Answers that are kept as JSON.
macro_rules! kept_as_json {
    ($($answer:ty),+) => {$(
        impl $crate::store::Answer for $answer {
            fn to_kept(&self) -> Result<Vec<u8>, $crate::store::StoreError> {
                $crate::store::answers::to_json(self)
            }

            fn from_kept(kept: &[u8]) -> Result<Self, $crate::store::StoreError> {
                $crate::store::answers::from_json(kept)
            }
        }
    )+};
}
pub(crate) use kept_as_json;

kept_as_json!(Address, Preferences, u32);

pub(crate) fn to_json(answer: &impl Serialize) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(answer).map_err(|error| StoreError::Internal(error.to_string()))
}

pub(crate) fn from_json<T: DeserializeOwned>(kept: &[u8]) -> Result<T, StoreError> {
    serde_json::from_slice(kept).map_err(|error| StoreError::Corrupt(format!("a kept answer: {error}")))
}

/// An answer to keep.
#[derive(Debug)]
pub(super) struct Kept {
    /// The user whose data it holds.
    pub(super) about: Option<UserId>,
    pub(super) answer: Vec<u8>,
}

impl Kept {
    /// One that holds nothing about anybody.
    pub(super) fn of(answer: &impl Answer) -> Result<Option<Self>, StoreError> {
        Ok(Some(Self { about: None, answer: answer.to_kept()? }))
    }

    /// One about a user.
    pub(super) fn about(user: &UserId, answer: &impl Answer) -> Result<Option<Self>, StoreError> {
        Ok(Some(Self { about: Some(user.clone()), answer: answer.to_kept()? }))
    }

    /// The one that came with the command.
    pub(super) fn prepared(about: Option<&UserId>, meta: &ChangeMeta) -> Result<Option<Self>, StoreError> {
        let answer = meta.idempotency.as_ref().and_then(|call| call.prepared());
        let answer = answer.ok_or_else(|| StoreError::Internal("a call with a key has no answer to keep".into()))?;
        Ok(Some(Self { about: about.cloned(), answer: answer.to_vec() }))
    }
}
