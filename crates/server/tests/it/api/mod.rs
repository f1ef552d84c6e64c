//! The API through the wire: a real server, real clients, and what no client of ours would send.

mod access;
mod bad_input;
mod call_log;
mod drain;
mod errors_page;
mod limits;
mod mail;
mod pages;
mod paging;
mod passwords;
mod transport;
mod updates;
mod users;
mod web;

/// Paths of methods start with it.
const USERS: &str = "/user.v1.UserService";
