//! A stream of requests, one answer: creates many users at once.
//!
//! `roster serve --dev` in one terminal, `cargo run -p roster-api --example client_stream` in another.

use std::error::Error;

use roster_api::{
    Client,
    compat::user::{BatchCreateResponse, CreateUserRequest, user_service_client::UserServiceClient},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = std::env::args().nth(1).unwrap_or("http://127.0.0.1:50051".into());
    let created = run(&server).await?;
    println!("{} created: {}", created.created_count, created.user_ids.join(" "));
    Ok(())
}

/// Creates three users.
pub async fn run(server: &str) -> Result<BatchCreateResponse, Box<dyn Error>> {
    let mut users = UserServiceClient::new(Client::connect(server).await?.transport());
    // Rows are made as they are sent, so there may be more of them than memory would hold.
    let rows = (1..=3).map(|number| CreateUserRequest {
        username: format!("streamed{number}"),
        email: format!("streamed{number}@example.com"),
        ..Default::default()
    });
    let created = users.batch_create_users(tokio_stream::iter(rows)).await?.into_inner();
    Ok(created)
}
