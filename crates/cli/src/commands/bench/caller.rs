//! Who calls: one token for all threads, renewed while they go on.

use std::{
    sync::{PoisonError, RwLock},
    time::Duration,
};

use tonic::{
    Request,
    metadata::{Ascii, MetadataValue},
};

use crate::context::Context;

/// The caller of every call.
#[derive(Debug)]
pub struct Caller {
    authorization: RwLock<Option<MetadataValue<Ascii>>>,
    /// What a call may take.
    timeout: Duration,
}

impl Caller {
    /// Whoever was identified.
    pub fn of(context: &Context) -> Self {
        Self { authorization: RwLock::new(context.authorization()), timeout: context.timeout }
    }

    /// Takes a new token of the session if the old one is about to end. If there is none to be had, calls go on with the
    /// old one, and are told why they are refused.
    pub async fn renew(&self, context: &mut Context) {
        if context.identify().await.is_ok() {
            *self.authorization.write().unwrap_or_else(PoisonError::into_inner) = context.authorization();
        }
    }

    /// `message` as a request with its deadline.
    pub fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(authorization) = &*self.authorization.read().unwrap_or_else(PoisonError::into_inner) {
            request.metadata_mut().insert("authorization", authorization.clone());
        }
        request.set_timeout(self.timeout);
        request
    }
}
