//! Which fields an update is about (AIP-134, AIP-161).

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{AttributesPatch, Violations, inputs};

/// Paths that a mask may have: all fields, and as many keys as a map can hold, with room to spare.
const PATHS_MAX: usize = 256;

/// What a method can change of a resource.
#[derive(Debug)]
pub(super) struct MaskRules {
    /// The paths of the fields that it can change.
    pub(super) fields: &'static [&'static str],
    /// The one of them that is a map, whose keys can be named one by one, as in `attributes.team`.
    pub(super) map: Option<&'static str>,
    /// What it cannot change, and why.
    pub(super) others: &'static [(&'static str, &'static str)],
}

/// The fields that an update sets or clears.
#[derive(Debug, Default)]
pub(super) struct UpdateMask {
    fields: BTreeSet<&'static str>,
    /// Single keys of the map.
    pub(super) keys: BTreeSet<String>,
}

impl UpdateMask {
    /// No mask: the fields that are present.
    pub(super) fn implied(present: impl IntoIterator<Item = (&'static str, bool)>) -> Self {
        let fields = present.into_iter().filter_map(|(field, present)| present.then_some(field)).collect();
        Self { fields, keys: BTreeSet::new() }
    }

    /// The mask as the caller gave it; `*` is every field.
    pub(super) fn parse(paths: &[String], rules: &MaskRules, violations: &mut Violations) -> Self {
        let mut mask = Self::default();
        if paths.len() > PATHS_MAX {
            violations.add("update_mask", format!("has {} paths; at most {PATHS_MAX} are allowed", paths.len()));
            return mask;
        }
        if paths.iter().any(|path| path == "*") {
            if paths.len() > 1 {
                violations.add("update_mask", "* stands for every field, so it must be the only path");
            }
            mask.fields.extend(rules.fields);
            return mask;
        }
        for path in paths {
            if let Some(field) = rules.fields.iter().find(|field| *field == path) {
                mask.fields.insert(field);
            } else if let Some(key) = rules.key_in(path) {
                violations.check("update_mask", inputs::check_attribute_key(key));
                mask.keys.insert(key.to_owned());
            } else {
                violations.add("update_mask", rules.refusal(path));
            }
        }
        mask
    }

    /// Whether the update is about `field`.
    pub(super) fn has(&self, field: &str) -> bool {
        self.fields.contains(field)
    }
}

impl MaskRules {
    /// The key that a path such as `attributes.team` names.
    fn key_in<'a>(&self, path: &'a str) -> Option<&'a str> {
        path.strip_prefix(self.map?)?.strip_prefix('.')
    }

    fn refusal(&self, path: &str) -> String {
        match self.others.iter().find(|(field, _)| *field == path) {
            Some((field, why)) => format!("{field} {why}"),
            None => {
                let shown: String = path.chars().take(40).flat_map(char::escape_debug).collect();
                let keys = self.map.map_or_else(String::new, |map| format!(", {map}.KEY"));
                format!("no field {shown:?} can be updated; use {}{keys} or *", self.fields.join(", "))
            }
        }
    }
}

/// What an update does to a map of free keys, which is `field` of the mask and `path` of the request.
pub(super) fn parse_map(
    (field, path): (&str, &str),
    mut given: BTreeMap<String, String>,
    mask: &UpdateMask,
    violations: &mut Violations,
) -> AttributesPatch {
    if mask.has(field) {
        return AttributesPatch::Replace(inputs::parse_attributes(path, given, violations).unwrap_or_default());
    }
    if mask.keys.is_empty() {
        return AttributesPatch::Keep;
    }
    given.retain(|key, _| mask.keys.contains(key));
    let mut given = inputs::parse_attributes(path, given, violations).unwrap_or_default();
    let edits = mask.keys.iter().map(|key| (key.clone(), given.remove(key)));
    AttributesPatch::Edit(edits.collect())
}
