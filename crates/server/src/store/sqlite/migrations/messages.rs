//! Step 2: makes the messages of the users that are there, in the table and in the change log.

use rusqlite::{
    Connection, Row, params,
    types::{FromSqlError, Type},
};

use crate::{
    model::{Role, User, UserStatus},
    store::StoredUser,
};

const USERS: &str = "SELECT pk, id, email, name, username, role, status, age, phone, locale, attributes,
                            email_verified, created_at, updated_at, revision FROM users";

/// The same columns out of the JSON that the change log had.
const LOGGED: &str = "SELECT position, user_id, after_json ->> 'email', after_json ->> 'name', after_json ->> 'username',
                             CASE after_json ->> 'role' WHEN 'USER' THEN 1 WHEN 'ADMIN' THEN 2 WHEN 'MODERATOR' THEN 3 END,
                             CASE after_json ->> 'status' WHEN 'ACTIVE' THEN 1 WHEN 'INACTIVE' THEN 2 END,
                             after_json ->> 'age', after_json ->> 'phone', after_json ->> 'locale',
                             after_json -> 'attributes', after_json ->> 'email_verified',
                             after_json ->> 'created_at', after_json ->> 'updated_at', after_json ->> 'revision'
                      FROM changes WHERE after_json IS NOT NULL";

/// Runs after `0002_messages.sql`, in its transaction.
pub(super) fn fill(connection: &Connection) -> rusqlite::Result<()> {
    fill_rows(connection, USERS, "UPDATE users SET message = ?2 WHERE pk = ?1")?;
    fill_rows(connection, LOGGED, "UPDATE changes SET after = ?2 WHERE position = ?1")?;
    connection.execute_batch("ALTER TABLE changes DROP COLUMN after_json")
}

fn fill_rows(connection: &Connection, select: &str, update: &str) -> rusqlite::Result<()> {
    let (mut select, mut update) = (connection.prepare(select)?, connection.prepare(update)?);
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        update.execute(params![row.get::<_, i64>(0)?, StoredUser::of(&user_from(row)?)])?;
    }
    Ok(())
}

fn user_from(row: &Row<'_>) -> rusqlite::Result<User> {
    let damaged =
        |column| rusqlite::Error::FromSqlConversionFailure(column, Type::Null, FromSqlError::InvalidType.into());
    Ok(User {
        id: row.get(1)?,
        email: row.get(2)?,
        name: row.get(3)?,
        username: row.get(4)?,
        role: Role::from_number(row.get(5)?).ok_or_else(|| damaged(5))?,
        status: UserStatus::from_number(row.get(6)?).ok_or_else(|| damaged(6))?,
        age: row.get(7)?,
        phone: row.get(8)?,
        locale: row.get(9)?,
        attributes: serde_json::from_str(row.get_ref(10)?.as_str()?).map_err(|_| damaged(10))?,
        email_verified: row.get(11)?,
        created_at: row.get(12)?,
        updated_at: row.get(13)?,
        revision: row.get(14)?,
    })
}
