//! Commands and reads in traces.

use std::any::type_name;

use crate::trace::{self, Span};

/// A span for a command or read of this name in this database system, if the call is traced.
pub(super) fn begin(system: &'static str, name: impl FnOnce() -> &'static str) -> Option<Span> {
    let current = trace::current()?;
    let name = name();
    let span = current.child(format!("store {name}"));
    span.set("db.system.name", system);
    span.set("db.operation.name", name);
    Some(span)
}

/// The function of ours that a closure is written in.
pub(super) fn name_of_closure<F>() -> &'static str {
    let name = type_name::<F>();
    let name = name.split_once("::{{closure}}").map_or(name, |(function, _)| function);
    let name = without_parameters(name);
    name.rsplit("::").next().unwrap_or(name)
}

/// `f` of `f<'_, Vec<u8>>`.
fn without_parameters(name: &str) -> &str {
    if !name.ends_with('>') {
        return name;
    }
    let mut depth = 0_usize;
    let begin = name.char_indices().rev().find(|(_, c)| {
        match c {
            '>' => depth += 1,
            '<' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0
    });
    begin.map_or(name, |(at, _)| &name[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name<F: Fn()>(_: &F) -> &'static str {
        name_of_closure::<F>()
    }

    trait Outer {
        fn find_something(&self) -> &'static str;
    }

    impl Outer for Option<Vec<u8>> {
        fn find_something(&self) -> &'static str {
            let within = || name(&|| ());
            within()
        }
    }

    #[test]
    fn a_closure_is_called_what_its_function_is() {
        assert_eq!(None.find_something(), "find_something");
        assert_eq!(without_parameters("<a::B<c::D> as E>::f<'_, Vec<g::H>>"), "<a::B<c::D> as E>::f");
        assert_eq!(without_parameters("a::b"), "a::b");
    }
}
