//! One request, a stream of answers: lists all users, page by page.
//!
//! `roster serve --dev` in one terminal, `cargo run -p roster-api --example server_stream` in another.

use std::error::Error;

use roster_api::{
    Client,
    client::NEXT_PAGE_TOKEN,
    user::v1::{ListUsersRequest, User},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = std::env::args().nth(1).unwrap_or("http://127.0.0.1:50051".into());
    for user in run(&server).await? {
        println!("{} {} <{}>", user.id, user.name, user.email);
    }
    Ok(())
}

/// All users, by email.
pub async fn run(server: &str) -> Result<Vec<User>, Box<dyn Error>> {
    let mut users = Client::connect(server).await?.users();
    let mut request = ListUsersRequest { page_size: 2, order_by: "email".into(), ..Default::default() };
    let mut found = Vec::new();
    loop {
        let mut page = users.list_users(request.clone()).await?.into_inner();
        // Users come one by one: what is done with each sets the pace.
        while let Some(user) = page.message().await? {
            found.push(user);
        }
        // Behind the last of a page, the trailing metadata says where the next begins.
        let trailers = page.trailers().await?.unwrap_or_default();
        let Some(token) = trailers.get(NEXT_PAGE_TOKEN) else { return Ok(found) };
        request.page_token = token.to_str()?.to_owned();
    }
}
