//! Which fields an update is about (AIP-134, AIP-161).

use std::collections::BTreeSet;

use crate::model::Violations;

/// Paths that a mask may have: all fields, and as many attributes as a user can hold, with room to spare.
const PATHS_MAX: usize = 256;
/// What an update can change.
const FIELDS: [&str; 9] =
    ["name", "email", "username", "role", "age", "phone", "locale", "attributes", "email_verified"];
/// What it cannot, and why.
const OTHERS: [(&str, &str); 5] = [
    ("id", "is immutable"),
    ("status", "is changed by DeactivateUser and ReactivateUser"),
    ("created_at", "is output only"),
    ("updated_at", "is output only"),
    ("etag", "is output only; the etag to compare with is the request's own field"),
];

/// The fields that an update sets or clears.
#[derive(Debug, Default)]
pub(super) struct UpdateMask {
    fields: BTreeSet<&'static str>,
    /// Single attributes, from `attributes.key`.
    pub(super) attribute_keys: BTreeSet<String>,
}

impl UpdateMask {
    /// No mask: the fields that are present.
    pub(super) fn implied(present: impl IntoIterator<Item = (&'static str, bool)>) -> Self {
        let fields = present.into_iter().filter_map(|(field, present)| present.then_some(field)).collect();
        Self { fields, attribute_keys: BTreeSet::new() }
    }

    /// The mask as the caller gave it; `*` is every field.
    pub(super) fn parse(paths: &[String], violations: &mut Violations) -> Self {
        let mut mask = Self::default();
        if paths.len() > PATHS_MAX {
            violations.add("update_mask", format!("has {} paths; at most {PATHS_MAX} are allowed", paths.len()));
            return mask;
        }
        for path in paths {
            if path == "*" {
                if paths.len() > 1 {
                    violations.add("update_mask", "* stands for every field, so it stands alone");
                }
                mask.fields.extend(FIELDS);
            } else if let Some(field) = FIELDS.iter().find(|field| *field == path) {
                mask.fields.insert(field);
            } else if let Some(key) = path.strip_prefix("attributes.") {
                mask.attribute_keys.insert(key.to_owned());
            } else {
                violations.add("update_mask", refusal(path));
            }
        }
        mask
    }

    /// Whether the update is about `field`.
    pub(super) fn has(&self, field: &str) -> bool {
        self.fields.contains(field)
    }
}

fn refusal(path: &str) -> String {
    match OTHERS.iter().find(|(field, _)| *field == path) {
        Some((field, why)) => format!("{field} {why}"),
        None => {
            let shown: String = path.chars().take(40).flat_map(char::escape_debug).collect();
            format!("no field {shown:?} can be updated; use {}, attributes.KEY or *", FIELDS.join(", "))
        }
    }
}
