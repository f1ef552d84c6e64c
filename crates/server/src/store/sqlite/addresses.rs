//! Addresses as rows, and what reads and writes them.

use async_trait::async_trait;
use rusqlite::{
    Connection, OptionalExtension as _, Row, ToSql, params,
    types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef},
};
use uuid::Uuid;

use super::{SqliteStore, row::by_number};
use crate::{
    model::{Address, AddressId, AddressKind, AddressLines, AddressPatch, ChangeMeta, UserId},
    store::{
        AddressStore, StoreError,
        commands::{AddAddress, DeleteAddress, SetDefaultAddress, UpdateAddress},
    },
};

/// `SELECT` of addresses of the user with the row `?1`, for [`address_from_row`]; further conditions follow.
macro_rules! select_address {
    ($rest:literal) => {
        concat!(
            "SELECT u.id, a.id, a.kind, a.label, a.recipient, a.organization, a.line1, a.line2, a.city, a.region, \
             a.postal_code, a.country, a.phone, a.is_default, a.created_at, a.updated_at, a.revision \
             FROM addresses a JOIN users u ON u.pk = a.user_pk WHERE a.user_pk = ?1 ",
            $rest
        )
    };
}

fn address_from_row(row: &Row<'_>) -> rusqlite::Result<Address> {
    Ok(Address {
        user_id: row.get(0)?,
        id: row.get(1)?,
        kind: row.get(2)?,
        lines: AddressLines {
            label: row.get(3)?,
            recipient: row.get(4)?,
            organization: row.get(5)?,
            line1: row.get(6)?,
            line2: row.get(7)?,
            city: row.get(8)?,
            region: row.get(9)?,
            postal_code: row.get(10)?,
            country: row.get(11)?,
            phone: row.get(12)?,
        },
        is_default: row.get(13)?,
        created_at: row.get(14)?,
        updated_at: row.get(15)?,
        revision: row.get(16)?,
    })
}

/// The row of a user that there must be.
pub(super) fn user_pk(connection: &Connection, id: &UserId) -> Result<i64, StoreError> {
    let pk = connection.prepare_cached("SELECT pk FROM users WHERE id = ?1")?.query_row([id], |row| row.get(0));
    pk.optional()?.ok_or(StoreError::NotFound)
}

/// The address of this id, if it is of the user with this row.
pub(super) fn find(connection: &Connection, user_pk: i64, id: AddressId) -> Result<Option<Address>, StoreError> {
    const SQL: &str = select_address!("AND a.id = ?2");
    Ok(connection.prepare_cached(SQL)?.query_row(params![user_pk, id], address_from_row).optional()?)
}

/// The user's default of a kind; `None` if the user has no address of the kind.
pub(super) fn find_default(
    connection: &Connection,
    user_pk: i64,
    kind: AddressKind,
) -> Result<Option<Address>, StoreError> {
    const SQL: &str = select_address!("AND a.kind = ?2 AND a.is_default");
    Ok(connection.prepare_cached(SQL)?.query_row(params![user_pk, kind as i64], address_from_row).optional()?)
}

/// The user's addresses, or those of a kind, oldest first.
pub(super) fn list(
    connection: &Connection,
    user_pk: i64,
    kind: Option<AddressKind>,
) -> Result<Vec<Address>, StoreError> {
    const SQL: &str = select_address!("AND (?2 IS NULL OR a.kind = ?2) ORDER BY a.created_at, a.id");
    let mut statement = connection.prepare_cached(SQL)?;
    let rows = statement.query_map(params![user_pk, kind.map(|kind| kind as i64)], address_from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Writes an address whole, over the one with its id if there is one.
pub(super) fn put(connection: &Connection, user_pk: i64, address: &Address) -> Result<(), StoreError> {
    let lines = &address.lines;
    connection
        .prepare_cached(
            "INSERT INTO addresses (user_pk, id, kind, label, recipient, organization, line1, line2, city,
                region, postal_code, country, phone, is_default, created_at, updated_at, revision)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)
             ON CONFLICT (user_pk, id) DO UPDATE SET label = excluded.label, recipient = excluded.recipient,
                organization = excluded.organization, line1 = excluded.line1, line2 = excluded.line2,
                city = excluded.city, region = excluded.region, postal_code = excluded.postal_code,
                country = excluded.country, phone = excluded.phone, is_default = excluded.is_default,
                updated_at = excluded.updated_at, revision = excluded.revision",
        )?
        .execute(params![
            user_pk,
            address.id,
            address.kind as i64,
            lines.label,
            lines.recipient,
            lines.organization,
            lines.line1,
            lines.line2,
            lines.city,
            lines.region,
            lines.postal_code,
            lines.country,
            lines.phone,
            address.is_default,
            address.created_at,
            address.updated_at,
            address.revision,
        ])?;
    Ok(())
}

impl ToSql for AddressId {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Blob(self.0.as_bytes())))
    }
}

impl FromSql for AddressId {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Uuid::from_slice(value.as_blob()?).map(Self).map_err(FromSqlError::other)
    }
}

impl FromSql for AddressKind {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        by_number(Self::ALL, value.as_i64()?, |kind| kind as i64)
    }
}

#[async_trait]
impl AddressStore for SqliteStore {
    async fn find_address(&self, user_id: &UserId, id: AddressId) -> Result<Option<Address>, StoreError> {
        let user_id = user_id.clone();
        self.point(move |connection| find(connection, user_pk(connection, &user_id)?, id)).await
    }

    async fn list_addresses(&self, user_id: &UserId, kind: Option<AddressKind>) -> Result<Vec<Address>, StoreError> {
        let user_id = user_id.clone();
        self.point(move |connection| list(connection, user_pk(connection, &user_id)?, kind)).await
    }

    async fn add_address(&self, address: Address, meta: ChangeMeta) -> Result<Address, StoreError> {
        self.writer.execute(AddAddress { address, meta }).await
    }

    async fn update_address(
        &self,
        user_id: &UserId,
        id: AddressId,
        patch: AddressPatch,
        etag: Option<String>,
        meta: ChangeMeta,
    ) -> Result<Address, StoreError> {
        self.writer.execute(UpdateAddress { user_id: user_id.clone(), id, patch, etag, meta }).await
    }

    async fn delete_address(
        &self,
        user_id: &UserId,
        id: AddressId,
        etag: Option<String>,
        meta: ChangeMeta,
    ) -> Result<(), StoreError> {
        self.writer.execute(DeleteAddress { user_id: user_id.clone(), id, etag, meta }).await
    }

    async fn set_default_address(
        &self,
        user_id: &UserId,
        id: AddressId,
        meta: ChangeMeta,
    ) -> Result<Address, StoreError> {
        self.writer.execute(SetDefaultAddress { user_id: user_id.clone(), id, meta }).await
    }
}
