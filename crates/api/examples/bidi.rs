//! Streams in both directions: updates a user field by field, and hears of each before it sends the next.
//!
//! `roster serve --dev` in one terminal, `cargo run -p roster-api --example bidi` in another.

use std::error::Error;

use roster_api::{
    Client,
    compat::user::{CreateUserRequest, UserUpdateRequest, UserUpdateResponse, user_service_client::UserServiceClient},
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = std::env::args().nth(1).unwrap_or("http://127.0.0.1:50051".into());
    for answer in run(&server).await? {
        println!("{}: {}", if answer.success { "done" } else { "refused" }, answer.message);
    }
    Ok(())
}

/// What each update was answered with.
pub async fn run(server: &str) -> Result<Vec<UserUpdateResponse>, Box<dyn Error>> {
    let mut users = UserServiceClient::new(Client::connect(server).await?.transport());
    let grace = CreateUserRequest { email: "grace@example.com".into(), ..Default::default() };
    let user_id = users.create_user(grace).await?.into_inner().id;

    let (requests, stream) = mpsc::channel(1);
    let mut answers = users.stream_user_updates(ReceiverStream::new(stream)).await?.into_inner();
    let mut told = Vec::new();
    for (field, value) in [("full_name", "Grace Hopper"), ("username", "grace"), ("shoe_size", "37"), ("role", "admin")]
    {
        requests.send(UserUpdateRequest { user_id: user_id.clone(), field: field.into(), value: value.into() }).await?;
        // One that is refused ends nothing: the stream goes on.
        told.push(answers.message().await?.ok_or("the stream has ended")?);
    }
    Ok(told)
}
