//! What `docs/guides/rust.md` shows, from the connection to a watch that goes on where it was.
//!
//! `cargo run -p roster-api --example guide`, beside the server that the guide starts.

use std::{error::Error as StdError, fs, time::Duration};

use roster_api::{
    Client, Error,
    client::{NEXT_PAGE_TOKEN, SignInError, with_idempotency_key},
    user::v1::{
        CreateUserRequest, GetUserRequest, ListUsersRequest, UpdateUserRequest, WatchUsersRequest,
        watch_users_request::Start, watch_users_response::Event,
    },
};
use tonic::{Code, Request, Status};

type Outcome<T = ()> = Result<T, Box<dyn StdError>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome {
    run("https://localhost:50051", "certs/ca.pem").await
}

/// Goes through the guide, with a server whose certificate is of this CA.
pub async fn run(endpoint: &str, ca: &str) -> Outcome {
    let client = connect(endpoint, ca).await?;
    let root = client.sign_in("root@example.com", "correct horse battery staple").await?;
    let ada = create(&root).await?;
    errors(&root).await?;
    locked(&client).await?;
    deadline(&root).await?;
    retry(&root, "job-4711").await?;
    list(&root).await?;
    watch(&root, ada).await
}

async fn connect(endpoint: &str, ca: &str) -> Outcome<Client> {
    Ok(Client::builder().endpoint(endpoint).ca(fs::read(ca)?).deadline(Duration::from_secs(30)).connect().await?)
}

async fn create(client: &Client) -> Outcome<String> {
    let ada = CreateUserRequest {
        email: "ada@example.com".into(),
        name: "Ada Lovelace".into(),
        age: Some(36),
        ..Default::default()
    };
    let created = client.users().create_user(ada).await?.into_inner();
    let read = client.users().get_user(GetUserRequest { user_id: created.id.clone() }).await?.into_inner();
    assert_eq!(read, created, "a read sees every write that was answered before it");
    println!("created {} {}", read.id, read.email);
    Ok(read.id)
}

async fn errors(client: &Client) -> Outcome {
    let wrong = CreateUserRequest { email: "ada".into(), age: Some(200), ..Default::default() };
    match client.users().create_user(wrong).await.map_err(Error::from) {
        Err(error) if error.reason() == Some("VALIDATION_FAILED") => {
            for violation in error.violations() {
                println!("{}: {}", violation.field, violation.description);
            }
            Ok(())
        }
        Err(error) => Err(error.into()),
        Ok(_) => Err("was taken".into()),
    }
}

async fn locked(client: &Client) -> Outcome {
    for guess in 0..20 {
        let Err(refusal) = client.sign_in("mallory@example.com", &format!("guess {guess}")).await else {
            return Err("was let in".into());
        };
        let SignInError::Refused(error) = refusal else { return Err(refusal.into()) };
        if let Some(wait) = error.retry_after() {
            println!("{}: try again after {wait:?}", error.reason().unwrap_or_default());
            return Ok(());
        }
    }
    Err("was let guess".into())
}

async fn deadline(client: &Client) -> Outcome {
    let mut request = Request::new(WatchUsersRequest::default());
    request.set_timeout(Duration::from_millis(500));
    match silence(client, request).await {
        Err(status) if status.code() == Code::DeadlineExceeded => println!("time is up: {}", status.message()),
        Err(status) => return Err(status.into()),
        Ok(()) => return Err("ended early".into()),
    }
    Ok(())
}

async fn silence(client: &Client, request: Request<WatchUsersRequest>) -> Result<(), Status> {
    let mut changes = client.users().watch_users(request).await?.into_inner();
    while changes.message().await?.is_some() {}
    Ok(())
}

async fn retry(client: &Client, job: &str) -> Outcome {
    let alan = CreateUserRequest {
        email: "alan@example.com".into(),
        name: "Alan Turing".into(),
        age: Some(41),
        ..Default::default()
    };
    let first = client.users().create_user(with_idempotency_key(alan.clone(), job)?).await?.into_inner();
    let again = client.users().create_user(with_idempotency_key(alan, job)?).await?.into_inner();
    assert_eq!(first, again);
    println!("created once: {}", again.id);
    Ok(())
}

async fn list(client: &Client) -> Outcome {
    let mut request = ListUsersRequest {
        filter: "status = ACTIVE AND age > 30".into(),
        order_by: "name".into(),
        page_size: 1,
        ..Default::default()
    };
    loop {
        let mut page = client.users().list_users(request.clone()).await?.into_inner();
        while let Some(user) = page.message().await? {
            println!("listed {}", user.name);
        }
        let behind = page.trailers().await?.unwrap_or_default();
        let Some(token) = behind.get(NEXT_PAGE_TOKEN) else { return Ok(()) };
        request.page_token = token.to_str()?.to_owned();
    }
}

async fn watch(client: &Client, user_id: String) -> Outcome {
    let mut watch = client.watch(WatchUsersRequest { start: Some(Start::Snapshot(true)), ..Default::default() });
    let kept = loop {
        let told = watch.next().await?;
        if let Some(Event::SnapshotComplete(snapshot)) = told.event {
            println!("there are {} users", snapshot.user_count);
            break told.resume_token;
        }
    };
    drop(watch);

    // Nobody watches while this happens.
    client.users().update_user(UpdateUserRequest { user_id, age: Some(37), ..Default::default() }).await?;

    let mut watch = client.watch(WatchUsersRequest { start: Some(Start::ResumeToken(kept)), ..Default::default() });
    loop {
        if let Some(Event::Change(change)) = watch.next().await?.event {
            println!("change {} {:?}", change.kind().as_str_name(), change.changed_fields);
            return Ok(());
        }
    }
}
