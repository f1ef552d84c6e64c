-- Links that work once, and the mails that carry them.

CREATE TABLE one_time_tokens (
    user_pk    INTEGER NOT NULL REFERENCES users (pk) ON DELETE CASCADE,
    kind       INTEGER NOT NULL,
    hash       BLOB NOT NULL UNIQUE,               -- SHA-256
    email_key  TEXT NOT NULL,                      -- of the address that it was mailed to
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (user_pk, kind)
) STRICT, WITHOUT ROWID;

CREATE INDEX one_time_tokens_by_expiry ON one_time_tokens (expires_at);

CREATE TABLE mails (
    id              BLOB PRIMARY KEY,              -- 16 bytes, a UUIDv7
    user_pk         INTEGER NOT NULL REFERENCES users (pk) ON DELETE CASCADE,
    kind            INTEGER NOT NULL,
    recipient       TEXT NOT NULL,
    language        TEXT NOT NULL,
    token           TEXT,                          -- NULL once it is of no more use
    state           INTEGER NOT NULL,
    attempts        INTEGER NOT NULL DEFAULT 0,
    last_error      TEXT NOT NULL DEFAULT '',
    message_id      TEXT,                          -- NULL before the first attempt
    created_at      INTEGER NOT NULL,
    next_attempt_at INTEGER,                       -- NULL unless it waits
    finished_at     INTEGER,                       -- sent or given up
    expires_at      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX mails_by_user ON mails (user_pk, kind);
CREATE INDEX mails_due ON mails (next_attempt_at) WHERE next_attempt_at IS NOT NULL;
CREATE INDEX mails_waiting ON mails (expires_at) WHERE next_attempt_at IS NOT NULL;
CREATE INDEX mails_by_finish ON mails (finished_at) WHERE finished_at IS NOT NULL;
