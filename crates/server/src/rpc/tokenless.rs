//! Who calls without a token: it depends on the other end of the connection.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use crate::{
    auth::{Caller, Service},
    model::PermissionSet,
    net::Peer,
};

/// Gives each peer its caller.
#[derive(Clone, Debug)]
pub struct Tokenless {
    nobody: Caller,
    services: HashMap<Arc<str>, Arc<Service>>,
}

impl Tokenless {
    /// `dev` makes everybody an administrator but the services that are named here, with what they may do.
    #[must_use]
    pub fn new(dev: bool, permissions: &BTreeMap<String, PermissionSet>) -> Self {
        let services = permissions.iter().map(|(name, permissions)| {
            let name: Arc<str> = name.as_str().into();
            (Arc::clone(&name), Arc::new(Service { name, permissions: *permissions }))
        });
        let nobody = if dev { Caller::Developer } else { Caller::Anonymous };
        Self { nobody, services: services.collect() }
    }

    /// The caller, unless a token says otherwise.
    #[must_use]
    pub fn caller_of(&self, peer: &Peer) -> Caller {
        match peer {
            Peer::Operator => Caller::Operator,
            Peer::Remote { certificate: None, .. } => self.nobody.clone(),
            Peer::Remote { certificate: Some(name), .. } => match (self.services.get(name), &self.nobody) {
                (Some(service), _) => Caller::Service(Arc::clone(service)),
                (None, Caller::Developer) => Caller::Developer,
                (None, _) => {
                    Caller::Service(Arc::new(Service { name: Arc::clone(name), permissions: PermissionSet::NONE }))
                }
            },
        }
    }
}
