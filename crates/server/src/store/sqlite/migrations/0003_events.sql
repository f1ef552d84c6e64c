-- The change log takes in what changes no user: sessions, keys, refusals. Such a row has the revision 0, and where it
-- concerns nobody, an empty user_id.

ALTER TABLE changes ADD COLUMN remote_address TEXT NOT NULL DEFAULT '';
ALTER TABLE changes ADD COLUMN target TEXT NOT NULL DEFAULT '';
ALTER TABLE changes ADD COLUMN reason TEXT NOT NULL DEFAULT '';
