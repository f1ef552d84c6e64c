-- Runs of imports, so that one that broke can be sent again from its start. Ids of users are all that is kept of them.

CREATE TABLE imports (
    pk       INTEGER PRIMARY KEY,
    owner    TEXT NOT NULL,                        -- who imports: an actor
    name     TEXT NOT NULL,
    last_row INTEGER NOT NULL,                     -- the last row that was done
    used_at  INTEGER NOT NULL,                     -- when
    UNIQUE (owner, name)
) STRICT;

CREATE INDEX imports_by_use ON imports (used_at);

-- What became of the rows, a batch of them in one.
CREATE TABLE import_verdicts (
    pk        INTEGER PRIMARY KEY,
    import_pk INTEGER NOT NULL REFERENCES imports (pk) ON DELETE CASCADE,
    first_row INTEGER NOT NULL,
    verdicts  BLOB NOT NULL,
    UNIQUE (import_pk, first_row)
) STRICT;
