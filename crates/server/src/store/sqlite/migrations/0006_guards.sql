-- What protects: administrators are counted, refusals are found, and so is what a user did to others.

-- Only administrators who may sign in are in it, so nobody else pays for it.
CREATE INDEX users_active_admins ON users (id) WHERE role = 2 AND status = 1;

-- Refusals are few; the rest of the log pays nothing.
CREATE INDEX changes_refused ON changes (position) WHERE action IN ('call.refused', 'sign_in.failed');

-- Whether a user did it who is not the one that user_id names. What users do to themselves, which is most, is found by
-- user_id; an index over the actors of all of it would cost each such row as much again as the one by user.
ALTER TABLE changes ADD COLUMN by_another INTEGER NOT NULL DEFAULT 0;
CREATE INDEX changes_by_another ON changes (actor) WHERE by_another = 1;
