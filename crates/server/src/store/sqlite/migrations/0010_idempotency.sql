-- The first answers to calls that have an idempotency key.

CREATE TABLE answers (
    id         BLOB PRIMARY KEY,                   -- who called what with which key, as a MAC
    request    BLOB NOT NULL,                      -- with which request, as a MAC under that key
    answer     BLOB,                               -- sealed under that key; NULL once the user it is about is deleted
    user_id    ANY,                                -- the user it is about; NULL for none
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX answers_by_expiry ON answers (expires_at);
-- For the deletion of the user.
CREATE INDEX answers_by_user ON answers (user_id) WHERE user_id IS NOT NULL;
