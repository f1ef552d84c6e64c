//! Roster from outside: stores behind their trait, and a real server with real clients.

mod store;
