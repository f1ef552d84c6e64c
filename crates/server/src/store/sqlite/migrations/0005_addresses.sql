-- What hangs on a user beside the account: postal addresses and preferences.

CREATE TABLE addresses (
    user_pk      INTEGER NOT NULL REFERENCES users (pk) ON DELETE CASCADE,
    id           BLOB NOT NULL,                    -- 16 bytes, a UUIDv7
    kind         INTEGER NOT NULL,
    label        TEXT NOT NULL,
    recipient    TEXT NOT NULL,
    organization TEXT NOT NULL,
    line1        TEXT NOT NULL,
    line2        TEXT NOT NULL,
    city         TEXT NOT NULL,
    region       TEXT NOT NULL,
    postal_code  TEXT NOT NULL,
    country      TEXT NOT NULL,                    -- ISO 3166-1 alpha-2
    phone        TEXT NOT NULL,
    is_default   INTEGER NOT NULL,
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL,
    revision     INTEGER NOT NULL,
    PRIMARY KEY (user_pk, id)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX addresses_by_default ON addresses (user_pk, kind) WHERE is_default;

-- Users that have no row have the defaults.
CREATE TABLE preferences (
    user_pk          INTEGER PRIMARY KEY REFERENCES users (pk) ON DELETE CASCADE,
    language         TEXT NOT NULL,
    time_zone        TEXT NOT NULL,
    notify_email     INTEGER NOT NULL,
    notify_sms       INTEGER NOT NULL,
    notify_push      INTEGER NOT NULL,
    notify_marketing INTEGER NOT NULL,
    custom           TEXT NOT NULL,                -- a JSON object of strings
    updated_at       INTEGER NOT NULL,
    revision         INTEGER NOT NULL
) STRICT;
