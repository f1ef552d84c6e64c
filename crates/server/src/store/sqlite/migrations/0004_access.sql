-- Who may call without a password: sessions of users, API keys of services, and the keys that sign access tokens.

CREATE TABLE sessions (
    id             BLOB PRIMARY KEY,               -- 16 bytes, a UUIDv7
    user_pk        INTEGER NOT NULL REFERENCES users (pk) ON DELETE CASCADE,
    device         TEXT NOT NULL,
    remote_address TEXT NOT NULL,                  -- of the last use
    created_at     INTEGER NOT NULL,
    last_used_at   INTEGER NOT NULL,
    expires_at     INTEGER NOT NULL,               -- if it is not used until then
    generation     INTEGER NOT NULL,               -- of the refresh token that counts
    refresh_hash   BLOB NOT NULL                   -- its SHA-256
) STRICT, WITHOUT ROWID;

CREATE INDEX sessions_by_user ON sessions (user_pk, last_used_at);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

CREATE TABLE api_keys (
    id           BLOB PRIMARY KEY,                 -- 16 bytes, a UUIDv7
    name         TEXT NOT NULL,
    prefix       TEXT NOT NULL,
    hash         BLOB NOT NULL,                    -- SHA-256 of the whole key
    scopes       TEXT NOT NULL,                    -- names of permissions, separated by spaces
    expires_at   INTEGER,
    created_at   INTEGER NOT NULL,
    last_used_at INTEGER,
    created_by   ANY                               -- the user's id, whether or not the user still exists; NULL for an operator
) STRICT, WITHOUT ROWID;

CREATE TABLE signing_keys (
    id          TEXT PRIMARY KEY,                  -- `kid`
    private_key BLOB NOT NULL,                     -- PKCS #8, Ed25519
    public_key  BLOB NOT NULL,                     -- 32 bytes
    created_at  INTEGER NOT NULL,
    retired_at  INTEGER                            -- NULL for the one that signs
) STRICT, WITHOUT ROWID;
