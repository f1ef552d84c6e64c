//! Times of messages.

use crate::model;

/// A moment as messages have it.
pub(super) fn timestamp(time: model::Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: time.seconds(), nanos: time.nanos() }
}
