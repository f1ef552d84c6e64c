-- A user as the message that callers get, encoded; the step fills it. The columns beside it are for filters and orders.
ALTER TABLE users ADD COLUMN message BLOB NOT NULL DEFAULT x'';

-- The user as such a message rather than as JSON; NULL once erased. The step fills it and drops the other.
ALTER TABLE changes RENAME COLUMN after TO after_json;
ALTER TABLE changes ADD COLUMN after BLOB;
