//! Update masks from flags: what is given is set, what is cleared goes back to its default, and nothing is both.

use prost_types::FieldMask;

use crate::{error::CliError, exit::Exit};

/// The mask of one command's update, as it grows.
#[derive(Debug)]
pub struct Mask {
    /// The command, for the hint of an error.
    command: &'static str,
    paths: Vec<String>,
}

impl Mask {
    /// Names the fields that were given.
    pub fn of(command: &'static str, fields: impl IntoIterator<Item = (&'static str, bool)>) -> Self {
        let given = fields.into_iter().filter(|(_, given)| *given);
        Self { command, paths: given.map(|(path, _)| path.to_owned()).collect() }
    }

    /// Names the fields that are to be cleared, none of which may be given.
    pub fn clear(&mut self, cleared: impl Iterator<Item = &'static str> + Clone) -> Result<(), CliError> {
        if let Some(path) = cleared.clone().find(|path| self.paths.iter().any(|set| set == path)) {
            return Err(self.wrong(format!("{path} is both set and cleared")));
        }
        self.paths.extend(cleared.map(str::to_owned));
        Ok(())
    }

    /// Names each key of the map `field` that is set or removed; none where `field` itself is named, which replaces the
    /// whole map by what is given. `noun` is what a key is called.
    pub fn keys(
        &mut self,
        (field, noun): (&str, &str),
        set: &[(String, String)],
        removed: &[String],
    ) -> Result<(), CliError> {
        if let Some(key) = removed.iter().find(|key| set.iter().any(|(other, _)| other == *key)) {
            return Err(self.wrong(format!("{noun} {key:?} is both set and removed")));
        }
        if !self.paths.iter().any(|path| path == field) {
            let keys = set.iter().map(|(key, _)| key).chain(removed);
            self.paths.extend(keys.map(|key| format!("{field}.{key}")));
        }
        Ok(())
    }

    /// The mask, which must name something.
    pub fn finish(self) -> Result<FieldMask, CliError> {
        if self.paths.is_empty() {
            return Err(self.wrong("there is nothing to change".into()));
        }
        Ok(FieldMask { paths: self.paths })
    }

    fn wrong(&self, message: String) -> CliError {
        CliError::new(Exit::Usage, message).hint(format!("`roster {} --help` lists what can be changed", self.command))
    }
}
