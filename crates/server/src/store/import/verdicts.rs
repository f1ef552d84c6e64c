//! Verdicts on the rows of an import, in the form that stores keep them in.

use super::{RowFailure, RowOutcome, RowVerdict};
use crate::{
    model::{Permission, UserId},
    store::{StoreError, Unique},
};

/// A verdict is the row's number (8 bytes), a byte that says what became of it, and then a length and as many bytes: the
/// id of the user as text, or the name of the permission that was lacking.
pub(in crate::store) fn encoded(verdicts: &[RowVerdict]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(verdicts.len() * 46);
    for verdict in verdicts {
        let text = |id: &Option<UserId>| id.as_ref().map(UserId::to_text).unwrap_or_default();
        let (code, text) = match &verdict.outcome {
            RowOutcome::Created(id) => (0, id.to_text()),
            RowOutcome::Updated(id) => (1, text(id)),
            RowOutcome::Skipped(id) => (2, text(id)),
            RowOutcome::Failed(RowFailure::Invalid) => (3, String::new()),
            RowOutcome::Failed(RowFailure::Taken(Unique::Id)) => (4, String::new()),
            RowOutcome::Failed(RowFailure::Taken(Unique::Email)) => (5, String::new()),
            RowOutcome::Failed(RowFailure::Taken(Unique::Username)) => (6, String::new()),
            RowOutcome::Failed(RowFailure::Refused(permission)) => (7, permission.name().to_owned()),
            RowOutcome::Failed(RowFailure::LastAdmin) => (8, String::new()),
            RowOutcome::Failed(RowFailure::Own) => (9, String::new()),
        };
        bytes.extend_from_slice(&verdict.number.to_le_bytes());
        // Ids and names of permissions have at most 64 bytes.
        bytes.extend([code, text.len() as u8]);
        bytes.extend_from_slice(text.as_bytes());
    }
    bytes
}

/// What [`encoded`] gave.
///
/// # Errors
/// [`StoreError::Corrupt`]: it was nothing of that kind.
pub(in crate::store) fn decoded(bytes: &[u8]) -> Result<Vec<RowVerdict>, StoreError> {
    read(bytes).ok_or_else(|| StoreError::Corrupt("the verdicts of an import cannot be read".into()))
}

fn read(mut bytes: &[u8]) -> Option<Vec<RowVerdict>> {
    let mut verdicts = Vec::new();
    while !bytes.is_empty() {
        let (number, rest) = bytes.split_first_chunk()?;
        let ([code, length], rest) = rest.split_first_chunk()?;
        let (text, rest) = rest.split_at_checked(usize::from(*length))?;
        let text = str::from_utf8(text).ok()?;
        let id = || UserId::parse(text).ok();
        let outcome = match code {
            0 => RowOutcome::Created(id()?),
            1 => RowOutcome::Updated(id()),
            2 => RowOutcome::Skipped(id()),
            3 => RowOutcome::Failed(RowFailure::Invalid),
            4 => RowOutcome::Failed(RowFailure::Taken(Unique::Id)),
            5 => RowOutcome::Failed(RowFailure::Taken(Unique::Email)),
            6 => RowOutcome::Failed(RowFailure::Taken(Unique::Username)),
            7 => RowOutcome::Failed(RowFailure::Refused(Permission::find(text)?)),
            8 => RowOutcome::Failed(RowFailure::LastAdmin),
            9 => RowOutcome::Failed(RowFailure::Own),
            _ => return None,
        };
        verdicts.push(RowVerdict { number: i64::from_le_bytes(*number), outcome });
        bytes = rest;
    }
    Some(verdicts)
}
