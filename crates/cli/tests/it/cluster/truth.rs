//! What the database and every node have in the end, held against what clients know.

use std::collections::HashMap;

use roster_api::user::v1::{ChangeKind, ListUsersRequest, User};
use tokio_postgres::Client;
use tonic::Request;

use super::{site::Direct, watchers::Told};
use crate::database::BROKEN;

const PAGE: i32 = 500;
/// Where a list goes on, in the trailers of its answer.
const NEXT_PAGE_TOKEN: &str = roster_api::client::NEXT_PAGE_TOKEN;

/// Every change of users, in the order of the log.
pub async fn logged(database: &Client) -> Vec<Told> {
    let sql = "SELECT request_id, action FROM positions JOIN changes USING (seq) WHERE revision > 0 ORDER BY position";
    let rows = database.query(sql, &[]).await.unwrap();
    rows.iter().map(|row| (row.get(0), kind_of(row.get(1)))).collect()
}

fn kind_of(action: &str) -> ChangeKind {
    match action {
        "created" => ChangeKind::Created,
        "updated" => ChangeKind::Updated,
        "deactivated" => ChangeKind::Deactivated,
        "reactivated" => ChangeKind::Reactivated,
        "deleted" => ChangeKind::Deleted,
        "password.changed" => ChangeKind::PasswordChanged,
        other => panic!("{other}"),
    }
}

/// That users and log agree, and that the log is whole.
pub async fn assert_consistent(database: &Client) {
    const ALL: (&str, &str) = (
        "rows of the log without a position",
        "SELECT FROM changes c WHERE NOT EXISTS (SELECT FROM positions p WHERE p.seq = c.seq)",
    );
    // After the loss of a primary the log goes on elsewhere, and says so.
    const GAPS: (&str, &str) = (
        "gaps between positions",
        "SELECT FROM positions p WHERE NOT EXISTS (SELECT FROM positions WHERE position = p.position - 1)
             AND NOT EXISTS (SELECT FROM courses WHERE first = p.position)",
    );
    const ORDER: (&str, &str) = (
        "changes of a user in another order than they happened in",
        // A password is no part of the revision.
        "SELECT FROM (SELECT revision - (action <> 'password.changed')::INT AS expected,
                             lag(revision) OVER (PARTITION BY user_id ORDER BY position) AS before
                      FROM positions JOIN changes USING (seq) WHERE revision > 0) AS c WHERE before <> expected",
    );
    for (broken, sql) in BROKEN.iter().chain([&ALL, &GAPS, &ORDER]) {
        let count: i64 = number(database, &format!("SELECT count(*) FROM ({sql}) AS broken")).await;
        assert_eq!(count, 0, "{broken}");
    }
}

/// What a query for one number gives.
pub async fn number(database: &Client, sql: &str) -> i64 {
    database.query_one(sql, &[]).await.unwrap().get(0)
}

/// All users that a node lists, by id.
pub async fn listed(node: &mut Direct) -> HashMap<String, User> {
    let (mut users, mut page_token) = (HashMap::new(), String::new());
    loop {
        let message = ListUsersRequest { page_size: PAGE, page_token, ..Default::default() };
        let mut page = node.list_users(Request::new(message)).await.unwrap().into_inner();
        while let Some(user) = page.message().await.unwrap() {
            users.insert(user.id.clone(), user);
        }
        match page.trailers().await.unwrap().unwrap_or_default().get(NEXT_PAGE_TOKEN) {
            Some(next) => page_token = next.to_str().unwrap().to_owned(),
            None => return users,
        }
    }
}
