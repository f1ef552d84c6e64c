//! Addresses as rows, and what reads and writes them.

use std::error::Error;

use async_trait::async_trait;
use tokio_postgres::{
    Row,
    types::{FromSql, Type, accepts},
};

use super::{
    PostgresStore,
    row::{by_number, column},
    statement::Statement,
    tx::Tx,
    value::{Value, params},
};
use crate::{
    model::{Address, AddressId, AddressKind, AddressLines, AddressPatch, ChangeMeta, UserId},
    store::{
        AddressStore, StoreError,
        commands::{AddAddress, DeleteAddress, SetDefaultAddress, UpdateAddress},
    },
};

/// `SELECT` of the user `$1` with each address that meets further conditions, or with none, for [`address_from_row`].
macro_rules! select_addresses {
    ($conditions:literal) => {
        concat!(
            "SELECT u.id, a.id, a.kind, a.label, a.recipient, a.organization, a.line1, a.line2, a.city, a.region, \
             a.postal_code, a.country, a.phone, a.is_default, a.created_at, a.updated_at, a.revision \
             FROM users u LEFT JOIN addresses a ON a.user_pk = u.pk ",
            $conditions,
            " WHERE u.id = $1 ORDER BY a.created_at, a.id"
        )
    };
}

/// `None` if the row is there for its user alone.
fn address_from_row(row: &Row) -> Result<Option<Address>, StoreError> {
    let Some(id) = column::<Option<_>>(row, 1)? else { return Ok(None) };
    Ok(Some(Address {
        user_id: column(row, 0)?,
        id: AddressId(id),
        kind: column(row, 2)?,
        lines: AddressLines {
            label: column(row, 3)?,
            recipient: column(row, 4)?,
            organization: column(row, 5)?,
            line1: column(row, 6)?,
            line2: column(row, 7)?,
            city: column(row, 8)?,
            region: column(row, 9)?,
            postal_code: column(row, 10)?,
            country: column(row, 11)?,
            phone: column(row, 12)?,
        },
        is_default: column(row, 13)?,
        created_at: column(row, 14)?,
        updated_at: column(row, 15)?,
        revision: column(row, 16)?,
    }))
}

/// The addresses of a user that there must be.
fn addresses_from_rows(rows: &[Row]) -> Result<Vec<Address>, StoreError> {
    if rows.is_empty() {
        return Err(StoreError::NotFound);
    }
    rows.iter().filter_map(|row| address_from_row(row).transpose()).collect()
}

/// The row of a user, locked, and all of the user's addresses, oldest first.
pub(super) async fn locked(tx: &mut Tx<'_>, user_id: &UserId) -> Result<(i64, Vec<Address>), StoreError> {
    const LOCK: &str = "SELECT pk FROM users WHERE id = $1 FOR UPDATE";
    const LIST: &str = select_addresses!("");
    let statements = vec![Statement::new(LOCK, params![user_id]), Statement::new(LIST, params![user_id])];
    let answers = tx.answers(statements).await?;
    let [user, addresses] = &answers[..] else { return Err(StoreError::Internal("an answer is missing".into())) };
    let user = user.rows.first().ok_or(StoreError::NotFound)?;
    Ok((column(user, 0)?, addresses_from_rows(&addresses.rows)?))
}

/// Writes an address whole, over the one with its id if there is one.
pub(super) fn put(tx: &mut Tx<'_>, user_pk: i64, address: &Address) {
    const SQL: &str = "INSERT INTO addresses (user_pk, id, kind, label, recipient, organization, line1, line2, city,
                region, postal_code, country, phone, is_default, created_at, updated_at, revision)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
         ON CONFLICT (user_pk, id) DO UPDATE SET label = excluded.label, recipient = excluded.recipient,
                organization = excluded.organization, line1 = excluded.line1, line2 = excluded.line2,
                city = excluded.city, region = excluded.region, postal_code = excluded.postal_code,
                country = excluded.country, phone = excluded.phone, is_default = excluded.is_default,
                updated_at = excluded.updated_at, revision = excluded.revision";
    let lines = &address.lines;
    let values = params![
        user_pk,
        address.id.0,
        address.kind as i64,
        &lines.label,
        &lines.recipient,
        &lines.organization,
        &lines.line1,
        &lines.line2,
        &lines.city,
        &lines.region,
        &lines.postal_code,
        &lines.country,
        &lines.phone,
        address.is_default,
        address.created_at,
        address.updated_at,
        address.revision,
    ];
    tx.queue(SQL, values);
}

impl<'a> FromSql<'a> for AddressKind {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        by_number(Self::ALL, raw, |kind| kind as i64)
    }

    accepts!(INT2);
}

#[async_trait]
impl AddressStore for PostgresStore {
    async fn find_address(&self, user_id: &UserId, id: AddressId) -> Result<Option<Address>, StoreError> {
        const SQL: &str = select_addresses!("AND a.id = $2");
        let row = self.database.point(SQL, params![user_id, id.0]).await?;
        address_from_row(&row.ok_or(StoreError::NotFound)?)
    }

    async fn list_addresses(&self, user_id: &UserId, kind: Option<AddressKind>) -> Result<Vec<Address>, StoreError> {
        const SQL: &str = select_addresses!("AND ($2::SMALLINT IS NULL OR a.kind = $2)");
        let kind = Value::from(kind.map(|kind| kind as i64));
        addresses_from_rows(&self.database.rows(SQL, params![user_id, kind]).await?)
    }

    async fn add_address(&self, address: Address, meta: ChangeMeta) -> Result<Address, StoreError> {
        self.execute(AddAddress { address, meta }).await
    }

    async fn update_address(
        &self,
        user_id: &UserId,
        id: AddressId,
        patch: AddressPatch,
        etag: Option<String>,
        meta: ChangeMeta,
    ) -> Result<Address, StoreError> {
        self.execute(UpdateAddress { user_id: user_id.clone(), id, patch, etag, meta }).await
    }

    async fn delete_address(
        &self,
        user_id: &UserId,
        id: AddressId,
        etag: Option<String>,
        meta: ChangeMeta,
    ) -> Result<(), StoreError> {
        self.execute(DeleteAddress { user_id: user_id.clone(), id, etag, meta }).await
    }

    async fn set_default_address(
        &self,
        user_id: &UserId,
        id: AddressId,
        meta: ChangeMeta,
    ) -> Result<Address, StoreError> {
        self.execute(SetDefaultAddress { user_id: user_id.clone(), id, meta }).await
    }
}
