//! The stream of `ListUsers`: a page of users, and in the trailers where the next one begins.

use std::{
    pin::Pin,
    task::{Context, Poll},
    vec,
};

use roster_api::{client::NEXT_PAGE_TOKEN, encoded::EncodedUser};
use tokio_stream::Stream;
use tonic::{Code, Status, metadata::MetadataMap};

use crate::{ops::UserPage, store::StoredUser};

/// See the [module](self).
pub(in crate::rpc) struct UserStream {
    users: vec::IntoIter<StoredUser>,
    next_page_token: Option<String>,
}

impl UserStream {
    pub(super) fn new(page: UserPage) -> Self {
        Self { users: page.users.into_iter(), next_page_token: page.next_page_token }
    }

    /// The seed's stream has no field for the token; in the default order its clients use the id of
    /// the last user instead. `OK` with metadata: tonic puts the status that ends a stream into the trailers as it is.
    fn trailers(token: &str) -> Option<Status> {
        let mut metadata = MetadataMap::new();
        metadata.insert(NEXT_PAGE_TOKEN, token.parse().ok()?);
        Some(Status::with_metadata(Code::Ok, "", metadata))
    }
}

impl Stream for UserStream {
    type Item = Result<EncodedUser, Status>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(match self.users.next() {
            Some(user) => Some(Ok(user.into_message())),
            None => self.next_page_token.take().and_then(|token| Self::trailers(&token)).map(Err),
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.users.len();
        (left, Some(left + 1))
    }
}
