//! When sessions and API keys were last used: kept in memory and handed to the store now and then, so that a call
//! writes nothing.

use std::{
    collections::HashMap,
    hash::Hash,
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

use crate::{
    model::{ApiKeyId, Grant, SessionId, Timestamp},
    store::{ApiKeyUse, SessionUse},
};

/// Sessions, and API keys, whose use waits to be taken. Of more, the use is not noted.
const WAITING_MAX: usize = 100_000;

/// Uses that the store does not know yet.
#[derive(Debug, Default)]
pub struct Uses {
    sessions: Mutex<HashMap<SessionId, (Timestamp, Option<IpAddr>)>>,
    api_keys: Mutex<HashMap<ApiKeyId, Timestamp>>,
}

impl Uses {
    /// Notes that a grant was used.
    pub(super) fn note(&self, grant: &Grant, at: Timestamp, from: Option<IpAddr>) {
        match grant {
            Grant::Session { id, .. } => put(&self.sessions, *id, (at, from)),
            Grant::ApiKey { id, .. } => put(&self.api_keys, *id, at),
        }
    }

    /// Takes the uses of sessions.
    #[must_use]
    pub fn take_sessions(&self) -> Vec<SessionUse> {
        let used = |(id, (at, from)): (_, (_, Option<IpAddr>))| {
            let remote_address = from.map(|from| from.to_canonical().to_string()).unwrap_or_default();
            SessionUse { id, at, remote_address }
        };
        take(&self.sessions).into_iter().map(used).collect()
    }

    /// Takes the uses of API keys.
    #[must_use]
    pub fn take_api_keys(&self) -> Vec<ApiKeyUse> {
        take(&self.api_keys).into_iter().map(|(id, at)| ApiKeyUse { id, at }).collect()
    }
}

fn put<K: Eq + Hash, V>(uses: &Mutex<HashMap<K, V>>, id: K, value: V) {
    let mut uses = uses.lock().unwrap_or_else(PoisonError::into_inner);
    if uses.len() < WAITING_MAX || uses.contains_key(&id) {
        uses.insert(id, value);
    }
}

fn take<K, V>(uses: &Mutex<HashMap<K, V>>) -> HashMap<K, V> {
    std::mem::take(&mut *uses.lock().unwrap_or_else(PoisonError::into_inner))
}
