//! One request, one answer: creates a user in a way that is safe to repeat, and reads it.
//!
//! `roster serve --dev` in one terminal, `cargo run -p roster-api --example unary` in another.

use std::error::Error;

use roster_api::{
    Client,
    client::with_idempotency_key,
    user::v1::{CreateUserRequest, GetUserRequest, User},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = std::env::args().nth(1).unwrap_or("http://127.0.0.1:50051".into());
    let user = run(&server).await?;
    println!("{} {} <{}>", user.id, user.name, user.email);
    Ok(())
}

/// Creates the user and gives it as it is read.
pub async fn run(server: &str) -> Result<User, Box<dyn Error>> {
    let mut users = Client::connect(server).await?.users();
    let ada = CreateUserRequest { email: "ada@example.com".into(), name: "Ada Lovelace".into(), ..Default::default() };
    // Made again with the same key, such as after an answer that was lost, it creates nobody else.
    let created = users.create_user(with_idempotency_key(ada, "example-unary")?).await?.into_inner();
    let read = users.get_user(GetUserRequest { user_id: created.id }).await?.into_inner();
    Ok(read)
}
