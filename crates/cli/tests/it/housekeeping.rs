//! What a server does by itself, as its own timer has it.

use crate::server::{Server, serve};

/// Rows that the change log keeps.
const ROWS_MAX: usize = 10;
/// Rounds that may have begun before the last user was created, and one after it.
const ROUNDS_MAX: usize = 1_000;

#[test]
fn the_house_is_kept_by_the_clock() {
    let folder = tempfile::tempdir().unwrap();
    let mut serve = serve(folder.path());
    serve.env("LOG_LEVEL", "info,roster_server=debug").env("ROSTER_HOUSEKEEPING_EVERY_MS", "100");
    let mut server = Server::start(serve.env("ROSTER_CHANGE_LOG_MAX_ROWS", ROWS_MAX.to_string()));
    server.fill(3 * ROWS_MAX);
    let mut left = 3 * ROWS_MAX;
    for _ in 0..ROUNDS_MAX {
        server.await_message("the house is kept").unwrap();
        left = server.roster(&["audit", "list", "--output", "json"]).with_code(0).json().len();
        if left <= ROWS_MAX {
            break;
        }
    }
    assert_eq!(left, ROWS_MAX);
    server.stop();
}
