//! `docs/errors.md` lists every reason, and says of each what the server does.

use std::{collections::BTreeSet, fs, path::Path};

use roster_server::ops::{Reason, reason};

#[test]
fn the_page_is_what_the_table_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors.md");
    let page = reason::reference();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == page, "docs/errors.md is out of date: UPDATE_DOCS=1 cargo test -p roster-server --test it errors");
}

#[test]
fn reasons_are_unique_and_told() {
    let names: BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.name()).collect();
    assert_eq!(names.len(), Reason::ALL.len());
    for reason in Reason::ALL {
        assert!(reason.name().bytes().all(|b| b.is_ascii_uppercase() || b == b'_'), "{}", reason.name());
        assert!(reason.doc().trim().len() > 10, "{}", reason.name());
    }
}
