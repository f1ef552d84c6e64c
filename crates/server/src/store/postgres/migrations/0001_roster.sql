-- Users, what hangs on them, and the change log. Times are microseconds since the epoch. Text that is compared or sorted
-- is so by its bytes, as everywhere in Roster, whatever the database's locale.

CREATE EXTENSION IF NOT EXISTS pg_trgm;

CREATE TABLE users (
    pk             BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- never leaves the store
    id             BYTEA NOT NULL CONSTRAINT users_by_id UNIQUE,    -- 't' and the text, or 'u' and the 16 bytes of a UUID
    email          TEXT NOT NULL,
    email_key      TEXT COLLATE "C" NOT NULL CONSTRAINT users_by_email UNIQUE,
    username       TEXT NOT NULL,
    username_key   TEXT COLLATE "C",                                -- NULL where there is no username
    name           TEXT COLLATE "C" NOT NULL,
    name_key       TEXT COLLATE "C" NOT NULL,
    role           SMALLINT NOT NULL,
    status         SMALLINT NOT NULL,
    age            SMALLINT,
    phone          TEXT COLLATE "C" NOT NULL,
    locale         TEXT COLLATE "C" NOT NULL,
    attributes     JSONB NOT NULL,                                  -- an object of strings
    email_verified BOOLEAN NOT NULL,
    created_at     BIGINT NOT NULL,
    updated_at     BIGINT NOT NULL,
    revision       BIGINT NOT NULL,
    search_text    TEXT COLLATE "C" NOT NULL,                       -- what a search looks into, folded
    message        BYTEA NOT NULL                                   -- the user as callers get it, encoded
);

CREATE UNIQUE INDEX users_by_username ON users (username_key) WHERE username_key IS NOT NULL;
CREATE INDEX users_by_created_at ON users (created_at, id);
-- Only administrators who may sign in are in it, so nobody else pays for it.
CREATE INDEX users_active_admins ON users (pk) WHERE role = 2 AND status = 1;
CREATE INDEX users_by_search_text ON users USING gin (search_text gin_trgm_ops);

-- Kept apart so that no query about users can select a secret.
CREATE TABLE credentials (
    user_pk       BIGINT PRIMARY KEY REFERENCES users (pk) ON DELETE CASCADE,
    password_hash TEXT NOT NULL
);

-- The change log. What a row says is written with the change; where it stands in the log is known after the commit.
CREATE TABLE changes (
    seq            BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- taken while the user's row is locked
    at             BIGINT NOT NULL,
    actor          TEXT COLLATE "C" NOT NULL,
    action         TEXT COLLATE "C" NOT NULL,
    user_id        BYTEA NOT NULL,                                  -- empty where nobody is concerned
    revision       BIGINT NOT NULL,                                 -- 0 where no user was changed
    request_id     TEXT COLLATE "C" NOT NULL,
    fields         TEXT NOT NULL,                                   -- a JSON array of field names
    before         BYTEA,                                           -- the user; NULL for a creation, and once erased
    after          BYTEA,                                           -- the user; NULL once erased
    remote_address TEXT COLLATE "C" NOT NULL,
    target         TEXT COLLATE "C" NOT NULL,
    reason         TEXT COLLATE "C" NOT NULL,
    by_another     BOOLEAN NOT NULL                                 -- by a user whom user_id does not name
);

CREATE INDEX changes_by_user ON changes (user_id, seq);
-- Refusals are few; the rest of the log pays nothing.
CREATE INDEX changes_refused ON changes (seq) WHERE action IN ('call.refused', 'sign_in.failed');
-- What users do to themselves, which is most, is found by user_id.
CREATE INDEX changes_by_another ON changes (actor) WHERE by_another;

-- Rows of the log that are committed, or about to be, and have no position yet. Written with each of them, emptied by
-- number_changes. What was removed is there for the disk as long as any snapshot is older, so it is found by transaction.
CREATE TABLE unnumbered (
    seq BIGINT NOT NULL,
    xid XID8 NOT NULL DEFAULT pg_current_xact_id()                  -- that writes it
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);

CREATE INDEX unnumbered_by_xid ON unnumbered (xid);

-- The order of the log. A table of its own, so that giving a position neither waits for whoever rewrites a row of the
-- log nor has them wait.
CREATE TABLE positions (
    position BIGINT PRIMARY KEY,                                    -- one more than the last: whoever trims the log keeps its newest row
    seq      BIGINT NOT NULL CONSTRAINT positions_by_seq UNIQUE,
    horizon  XID8 NOT NULL                                          -- all transactions before it had ended, and were numbered by then
);

-- Gives positions to all rows of the log that are committed and have none, and says how far the log goes then.
--
-- Two changes of one user are serialised by the lock on the user's row, and seq is taken under it. So whoever sees the later
-- of the two sees the earlier, and the order of seq is theirs; across calls positions only grow. A row whose seq is lower
-- but which was committed later is numbered later, and is not missed: rows are found by having no position.
--
-- It looks only at transactions that had not ended when it numbered last: see positions.horizon. In a database that was
-- copied row by row into another server these numbers are that one's no more. So it looks at all if they cannot be right,
-- and if it is asked to, as by each server when it begins.
--
-- To be called in a transaction of its own, READ COMMITTED, by one message (a simple query): then the server runs it from
-- its beginning to its commit, whatever becomes of the client. Each statement below has a snapshot of its own.
CREATE FUNCTION number_changes(whole BOOLEAN DEFAULT FALSE) RETURNS BIGINT LANGUAGE plpgsql VOLATILE
SET enable_seqscan = off AS $$
DECLARE
    newest BIGINT;
    last   BIGINT;
    since  XID8;
BEGIN
    SELECT horizon INTO since FROM positions ORDER BY position DESC LIMIT 1;
    IF whole OR since IS NULL OR since > pg_snapshot_xmin(pg_current_snapshot()) THEN
        since := '0';
    END IF;
    IF NOT EXISTS (SELECT FROM unnumbered WHERE xid >= since) THEN
        RETURN (SELECT coalesce(max(position), 0) FROM positions);
    END IF;
    -- Whoever hears of a position must find it again, also if the session is one that does not wait for its commits.
    PERFORM set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') IN ('off', 'local');
    -- One at a time; "roster" in ASCII.
    PERFORM pg_advisory_xact_lock(x'726f73746572'::BIGINT);
    SELECT coalesce(max(position), 0) INTO newest FROM positions;
    WITH taken AS (
        DELETE FROM unnumbered WHERE xid >= since RETURNING seq
    ), numbered AS (
        -- The snapshot is that which the rows are taken by.
        INSERT INTO positions (position, seq, horizon)
        SELECT newest + row_number() OVER (ORDER BY seq), seq, pg_snapshot_xmin(pg_current_snapshot()) FROM taken
        RETURNING position
    )
    SELECT max(position) INTO last FROM numbered;
    IF last IS NULL THEN
        RETURN newest;
    END IF;
    PERFORM pg_notify('roster_log', last::TEXT);
    RETURN last;
END
$$;

CREATE TABLE secrets (
    name  TEXT COLLATE "C" PRIMARY KEY,
    value BYTEA NOT NULL
);

-- Who may call without a password: sessions of users, API keys of services, and the keys that sign access tokens.

CREATE TABLE sessions (
    id             UUID PRIMARY KEY,
    user_pk        BIGINT NOT NULL REFERENCES users (pk) ON DELETE CASCADE,
    device         TEXT NOT NULL,
    remote_address TEXT NOT NULL,                                   -- of the last use
    created_at     BIGINT NOT NULL,
    last_used_at   BIGINT NOT NULL,
    expires_at     BIGINT NOT NULL,                                 -- if it is not used until then
    generation     BIGINT NOT NULL,                                 -- of the refresh token that counts
    refresh_hash   BYTEA NOT NULL                                   -- its SHA-256
);

CREATE INDEX sessions_by_user ON sessions (user_pk, last_used_at);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

CREATE TABLE api_keys (
    id           UUID PRIMARY KEY,
    name         TEXT NOT NULL,
    prefix       TEXT NOT NULL,
    hash         BYTEA NOT NULL,                                    -- SHA-256 of the whole key
    scopes       TEXT NOT NULL,                                     -- names of permissions, separated by spaces
    expires_at   BIGINT,
    created_at   BIGINT NOT NULL,
    last_used_at BIGINT,
    created_by   BYTEA                                              -- the user's id, whether or not the user still exists; NULL for an operator
);

CREATE TABLE signing_keys (
    id          TEXT COLLATE "C" PRIMARY KEY,                       -- `kid`
    private_key BYTEA NOT NULL,                                     -- PKCS #8, Ed25519
    public_key  BYTEA NOT NULL,                                     -- 32 bytes
    created_at  BIGINT NOT NULL,
    retired_at  BIGINT                                              -- NULL for the one that signs
);

-- One signs, however many nodes start at once.
CREATE UNIQUE INDEX signing_keys_current ON signing_keys ((TRUE)) WHERE retired_at IS NULL;

-- What hangs on a user beside the account.

CREATE TABLE addresses (
    user_pk      BIGINT NOT NULL REFERENCES users (pk) ON DELETE CASCADE,
    id           UUID NOT NULL,
    kind         SMALLINT NOT NULL,
    label        TEXT NOT NULL,
    recipient    TEXT NOT NULL,
    organization TEXT NOT NULL,
    line1        TEXT NOT NULL,
    line2        TEXT NOT NULL,
    city         TEXT NOT NULL,
    region       TEXT NOT NULL,
    postal_code  TEXT NOT NULL,
    country      TEXT NOT NULL,                                     -- ISO 3166-1 alpha-2
    phone        TEXT NOT NULL,
    is_default   BOOLEAN NOT NULL,
    created_at   BIGINT NOT NULL,
    updated_at   BIGINT NOT NULL,
    revision     BIGINT NOT NULL,
    PRIMARY KEY (user_pk, id)
);

CREATE UNIQUE INDEX addresses_by_default ON addresses (user_pk, kind) WHERE is_default;

-- Users that have no row have the defaults.
CREATE TABLE preferences (
    user_pk          BIGINT PRIMARY KEY REFERENCES users (pk) ON DELETE CASCADE,
    language         TEXT NOT NULL,
    time_zone        TEXT NOT NULL,
    notify_email     BOOLEAN NOT NULL,
    notify_sms       BOOLEAN NOT NULL,
    notify_push      BOOLEAN NOT NULL,
    notify_marketing BOOLEAN NOT NULL,
    custom           TEXT NOT NULL,                                 -- a JSON object of strings
    updated_at       BIGINT NOT NULL,
    revision         BIGINT NOT NULL
);

-- Links that work once, and the mails that carry them.

CREATE TABLE one_time_tokens (
    user_pk    BIGINT NOT NULL REFERENCES users (pk) ON DELETE CASCADE,
    kind       SMALLINT NOT NULL,
    hash       BYTEA NOT NULL UNIQUE,                               -- SHA-256
    email_key  TEXT COLLATE "C" NOT NULL,                           -- of the address that it was mailed to
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (user_pk, kind)
);

CREATE INDEX one_time_tokens_by_expiry ON one_time_tokens (expires_at);

CREATE TABLE mails (
    id              UUID PRIMARY KEY,
    user_pk         BIGINT NOT NULL REFERENCES users (pk) ON DELETE CASCADE,
    kind            SMALLINT NOT NULL,
    recipient       TEXT NOT NULL,
    language        TEXT NOT NULL,
    token           TEXT,                                           -- NULL once it is of no more use
    state           SMALLINT NOT NULL,
    attempts        BIGINT NOT NULL DEFAULT 0,
    last_error      TEXT NOT NULL DEFAULT '',
    message_id      TEXT,                                           -- NULL before the first attempt
    created_at      BIGINT NOT NULL,
    next_attempt_at BIGINT,                                         -- NULL unless it waits
    finished_at     BIGINT,                                         -- sent or given up
    expires_at      BIGINT NOT NULL
);

CREATE INDEX mails_by_user ON mails (user_pk, kind);
CREATE INDEX mails_due ON mails (next_attempt_at) WHERE next_attempt_at IS NOT NULL;
CREATE INDEX mails_waiting ON mails (expires_at) WHERE next_attempt_at IS NOT NULL;
CREATE INDEX mails_by_finish ON mails (finished_at) WHERE finished_at IS NOT NULL;

-- Runs of imports, so that one that broke can be sent again from its start. Ids of users are all that is kept of them.

CREATE TABLE imports (
    pk       BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    owner    TEXT COLLATE "C" NOT NULL,                             -- who imports: an actor
    name     TEXT COLLATE "C" NOT NULL,
    last_row BIGINT NOT NULL,                                       -- the last row that was done
    used_at  BIGINT NOT NULL,                                       -- when
    UNIQUE (owner, name)
);

CREATE INDEX imports_by_use ON imports (used_at);

-- What became of the rows, a batch of them in one.
CREATE TABLE import_verdicts (
    import_pk BIGINT NOT NULL REFERENCES imports (pk) ON DELETE CASCADE,
    first_row BIGINT NOT NULL,
    verdicts  BYTEA NOT NULL,
    PRIMARY KEY (import_pk, first_row)
);

-- The first answers to calls that have an idempotency key.
CREATE TABLE answers (
    id         BYTEA CONSTRAINT answers_by_call PRIMARY KEY,        -- who called what with which key, as a MAC
    request    BYTEA NOT NULL,                                      -- with which request, as a MAC under that key
    answer     BYTEA,                                               -- sealed under that key; NULL once the user it is about is deleted
    user_id    BYTEA,                                               -- the user it is about; NULL for none
    expires_at BIGINT NOT NULL
);

CREATE INDEX answers_by_expiry ON answers (expires_at);
-- For the deletion of the user.
CREATE INDEX answers_by_user ON answers (user_id) WHERE user_id IS NOT NULL;

-- Tells this database from any other, for what is kept beside it. gen_random_uuid is as random as the server can.
INSERT INTO secrets (name, value) VALUES ('database', uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()));
