-- Users, what hangs on them, and the change log. Times are microseconds since the epoch.

CREATE TABLE users (
    pk             INTEGER PRIMARY KEY,            -- never leaves the store; FTS5 needs an integer
    id             ANY NOT NULL UNIQUE,            -- 16-byte BLOB for a UUID, TEXT for any other id
    email          TEXT NOT NULL,
    email_key      TEXT NOT NULL UNIQUE,
    username       TEXT NOT NULL,
    username_key   TEXT,                           -- NULL where there is no username
    name           TEXT NOT NULL,
    name_key       TEXT NOT NULL,
    role           INTEGER NOT NULL,
    status         INTEGER NOT NULL,
    age            INTEGER,
    phone          TEXT NOT NULL,
    locale         TEXT NOT NULL,
    attributes     TEXT NOT NULL,                  -- a JSON object of strings
    email_verified INTEGER NOT NULL,
    created_at     INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL,
    revision       INTEGER NOT NULL,
    search_text    TEXT NOT NULL                   -- what a search looks into, folded
) STRICT;

CREATE UNIQUE INDEX users_by_username ON users (username_key) WHERE username_key IS NOT NULL;
CREATE INDEX users_by_created_at ON users (created_at, id);

-- Kept apart so that no query about users can select a secret.
CREATE TABLE credentials (
    user_pk       INTEGER PRIMARY KEY REFERENCES users (pk) ON DELETE CASCADE,
    password_hash TEXT NOT NULL
) STRICT;

CREATE TABLE changes (
    position   INTEGER PRIMARY KEY,                -- one more than the last: whoever trims the log keeps its newest row
    at         INTEGER NOT NULL,
    actor      TEXT NOT NULL,
    action     TEXT NOT NULL,
    user_id    ANY NOT NULL,
    user_pk    INTEGER NOT NULL,                   -- for what follows the log inside the store
    revision   INTEGER NOT NULL,
    request_id TEXT NOT NULL,
    fields     TEXT NOT NULL,                      -- a JSON array of field names
    after      TEXT                                -- the user as JSON; NULL once erased
) STRICT;

CREATE INDEX changes_by_user ON changes (user_id, position);

CREATE TABLE secrets (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Tells this database from any other, for what is kept beside it.
INSERT INTO secrets (name, value) VALUES ('database', randomblob(32));
