//! One thing that was looked at.

use crate::exit::Exit;

/// How it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// As it should be.
    Ok,
    /// Works, but look at it.
    Warn,
    /// A server would not start or not serve; it would end with this code.
    Fail(Exit),
}

/// What was found, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What was looked at.
    pub name: &'static str,
    /// How it stands.
    pub state: State,
    /// What was found.
    pub found: String,
    /// What to do; empty if nothing is.
    pub advice: String,
}

impl Check {
    /// As it should be.
    pub fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, state: State::Ok, found: found.into(), advice: String::new() }
    }

    /// Works, but look at it.
    pub fn warn(name: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { name, state: State::Warn, found: found.into(), advice: advice.into() }
    }

    /// Does not work.
    pub fn fail(exit: Exit, name: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { name, state: State::Fail(exit), found: found.into(), advice: advice.into() }
    }

    /// For programs.
    pub fn json(&self) -> serde_json::Value {
        let state = match self.state {
            State::Ok => "ok",
            State::Warn => "warn",
            State::Fail(_) => "fail",
        };
        serde_json::json!({ "check": self.name, "state": state, "found": self.found, "advice": self.advice })
    }
}
