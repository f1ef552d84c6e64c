//! Calls that come twice: the first answer is given again, and nothing is done again.
//!
//! The commit that does what a call asks keeps its answer, and no command of an answered call is run. That is the
//! guarantee. To look before is what keeps a retry from stumbling over what the first call has changed: an address that
//! is taken by now, an etag that is stale, a password that is not the current one any more.

use std::{borrow::Cow, sync::Arc};

use super::{Ctx, Error, Ops, Reason, error::RETRY_AFTER, turns::Turn};
use crate::{
    model::{Idempotency, IdempotencyKey},
    store::Answer,
};

impl Ops {
    /// What makes a call with this key known again: of the method with this path, with this request. `row` is the place
    /// in a call that does the same thing many times.
    #[must_use]
    pub fn idempotency_of(
        &self,
        ctx: &Ctx,
        method: &str,
        key: &IdempotencyKey,
        row: Option<u32>,
        request: &[u8],
    ) -> Arc<Idempotency> {
        Arc::new(self.idempotency_keys.call(&ctx.caller.actor(), method, key, row, request))
    }

    /// Waits until no other call with the same key is under way.
    ///
    /// # Errors
    /// [`Error::QueueFull`] if very many wait for that.
    pub(super) async fn turn(&self, ctx: &Ctx) -> Result<Option<Turn<'_>>, Error> {
        let Some(call) = &ctx.idempotency else { return Ok(None) };
        let turn = self.turns.wait(call.id).await;
        turn.map(Some).ok_or(Error::QueueFull { retry_after: RETRY_AFTER })
    }

    /// Does what an authorised call asks, unless it was done already: then the first answer is the answer. Without a key
    /// it is just done.
    pub(super) async fn once<T: Answer>(
        &self,
        ctx: &Ctx,
        run: impl Future<Output = Result<T, Error>> + Send,
    ) -> Result<T, Error> {
        let _turn = self.turn(ctx).await?;
        self.once_in_turn(ctx, run).await
    }

    /// The same where it is the call's turn already.
    pub(super) async fn once_in_turn<T: Answer>(
        &self,
        ctx: &Ctx,
        run: impl Future<Output = Result<T, Error>> + Send,
    ) -> Result<T, Error> {
        let Some(call) = &ctx.idempotency else { return run.await };
        if let Some(answer) = self.find_answer(call).await? {
            return Ok(answer);
        }
        match run.await {
            Ok(answer) => Ok(answer),
            // It may have failed for no other reason than that the same call was faster, on another node.
            Err(error) => self.find_answer(call).await?.ok_or(error),
        }
    }

    async fn find_answer<T: Answer>(&self, call: &Idempotency) -> Result<Option<T>, Error> {
        let Some(answered) = self.store.find_answer(call.id, self.clock.now()).await? else { return Ok(None) };
        if !call.is_of(&answered.request) {
            return Err(Error::KeyReused);
        }
        let sealed = answered.sealed.ok_or(Error::Precondition(Reason::IdempotentAnswerDeleted))?;
        let kept = call.open(&sealed).ok_or_else(|| Error::Internal("a kept answer cannot be opened".into()))?;
        Ok(Some(T::from_kept(&kept)?))
    }
}

impl Ctx {
    /// The call as it counts: one that only checks is not kept, and can be made as often as one likes.
    pub(super) fn unless_rehearsed(&self, validate_only: bool) -> Cow<'_, Self> {
        if validate_only { self.without_key() } else { Cow::Borrowed(self) }
    }

    /// The call as if it had no key, for what is to be done however often it comes.
    pub(super) fn without_key(&self) -> Cow<'_, Self> {
        match self.idempotency {
            Some(_) => Cow::Owned(Self { idempotency: None, ..self.clone() }),
            None => Cow::Borrowed(self),
        }
    }
}
