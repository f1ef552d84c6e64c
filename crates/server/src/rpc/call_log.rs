//! One line a call, when it is over: method, status, duration, request id, caller. Never what was in it.

use std::time::Instant;

use tonic::Code;

use crate::{auth::Caller, net::Peer, ops::RequestId};

/// Bytes of a method's path that are logged.
const METHOD_MAX_BYTES: usize = 200;

/// What is known of a call when it starts. Logs when it is finished, or dropped before that.
#[derive(Debug)]
pub(super) struct CallRecord {
    method: String,
    request_id: RequestId,
    caller: Caller,
    peer: Peer,
    started: Instant,
    finished: bool,
}

impl CallRecord {
    /// A record if anybody will read it. The caller is nobody until [`Self::set_caller`] says who it is.
    pub(super) fn start(method: &str, request_id: &RequestId, peer: &Peer) -> Option<Self> {
        if !tracing::enabled!(target: "roster::call", tracing::Level::INFO) {
            return None;
        }
        // The path of no method can be of any length.
        let method = method[..method.floor_char_boundary(METHOD_MAX_BYTES)].to_owned();
        let (request_id, caller) = (request_id.clone(), Caller::Anonymous);
        let peer = peer.clone();
        Some(Self { method, request_id, caller, peer, started: Instant::now(), finished: false })
    }

    /// Who calls, once that is known.
    pub(super) fn set_caller(&mut self, caller: &Caller) {
        self.caller = caller.clone();
    }

    /// Writes the line.
    pub(super) fn finish(&mut self, code: Code) {
        if std::mem::replace(&mut self.finished, true) {
            return;
        }
        let duration_us = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        tracing::info!(
            target: "roster::call",
            method = self.method.as_str(),
            status = ?code,
            duration_us,
            request_id = self.request_id.as_str(),
            caller = %self.caller.actor(),
            peer = %self.peer,
        );
    }
}

impl Drop for CallRecord {
    fn drop(&mut self) {
        // The client reset the stream or went away.
        self.finish(Code::Cancelled);
    }
}
