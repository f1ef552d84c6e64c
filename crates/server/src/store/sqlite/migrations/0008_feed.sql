-- The user before a change, so that a follower with a filter learns who leaves it, and an export reads all users as they
-- were at one moment. NULL for a creation, in rows from before this column, and once erased.
ALTER TABLE changes ADD COLUMN before BLOB;
