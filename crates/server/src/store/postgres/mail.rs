//! The outbox and one-time tokens in PostgreSQL.

#![expect(unused_variables, reason = "not written yet")]

use async_trait::async_trait;

use super::PostgresStore;
use crate::{
    auth::{OneTimeToken, PasswordHash},
    model::{ChangeMeta, Mail, MailId, MailKind, Timestamp, UserId},
    store::{ClaimedMail, MailClaim, MailOutcome, MailStore, NewMail, StoreError, StoredUser},
};

#[async_trait]
impl MailStore for PostgresStore {
    async fn request_mail(&self, email_key: String, mail: NewMail, meta: ChangeMeta) -> Result<(), StoreError> {
        unimplemented!()
    }

    async fn find_one_time_token(
        &self,
        kind: MailKind,
        hash: [u8; 32],
        now: Timestamp,
    ) -> Result<Option<UserId>, StoreError> {
        unimplemented!()
    }

    async fn verify_email(&self, id: UserId, hash: [u8; 32], meta: ChangeMeta) -> Result<StoredUser, StoreError> {
        unimplemented!()
    }

    async fn reset_password(
        &self,
        id: UserId,
        hash: [u8; 32],
        password: PasswordHash,
        meta: ChangeMeta,
    ) -> Result<StoredUser, StoreError> {
        unimplemented!()
    }

    async fn claim_mails(&self, claim: MailClaim) -> Result<Vec<ClaimedMail>, StoreError> {
        unimplemented!()
    }

    async fn finish_mail(
        &self,
        id: MailId,
        attempt: u32,
        outcome: MailOutcome,
        keep_token: bool,
    ) -> Result<(), StoreError> {
        unimplemented!()
    }

    async fn next_mail_due(&self) -> Result<Option<Timestamp>, StoreError> {
        unimplemented!()
    }

    async fn list_mails(&self, before: Option<MailId>, limit: u32) -> Result<Vec<Mail>, StoreError> {
        unimplemented!()
    }

    async fn find_mail(&self, id: MailId) -> Result<Option<(Mail, Option<OneTimeToken>)>, StoreError> {
        unimplemented!()
    }

    async fn purge_mails(&self, now: Timestamp, finished_before: Timestamp, limit: u32) -> Result<u32, StoreError> {
        unimplemented!()
    }
}
