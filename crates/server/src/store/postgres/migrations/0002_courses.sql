-- What a promoted standby lacks is noticed, what waits for its position is found whatever else runs, and a user with a long
-- history is erased piece by piece.

-- The courses that the log has taken. A standby that is promoted may lack what its primary had numbered last. It would give
-- those positions again, to other changes, and whoever had seen the first would not hear of the second. So the log goes on
-- far behind where it stopped whenever it finds itself on another server, or on another timeline of the same. Positions
-- between `after` and `first` were not given here, and whoever has one was told of changes that are lost.
CREATE TABLE courses (
    first    BIGINT PRIMARY KEY,                                    -- that it gives, or would
    after    BIGINT NOT NULL,                                       -- the newest position of what was there before
    system   TEXT,                                                  -- of which server; NULL if it does not say
    timeline TEXT                                                   -- of that server's write-ahead log
);

-- Which server this is, and which timeline of its. One that cannot say is never another.
CREATE FUNCTION log_system() RETURNS TEXT LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT system_identifier::TEXT FROM pg_control_system());
EXCEPTION WHEN OTHERS THEN
    RETURN NULL;
END
$$;

-- Of where the log is written now: pg_control_checkpoint() keeps to the old one for a while after a promotion.
CREATE FUNCTION log_timeline() RETURNS TEXT LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN left(pg_walfile_name(pg_current_wal_lsn()), 8);
EXCEPTION WHEN OTHERS THEN
    RETURN NULL;
END
$$;

INSERT INTO courses (first, after, system, timeline) VALUES (1, 0, log_system(), log_timeline());

-- What was seen when a row of the log was numbered last: kept with the newest position alone. The horizon beside it stands
-- still while any transaction that writes is open, and then everything is looked at that was written since that began.
ALTER TABLE positions ADD COLUMN seen PG_SNAPSHOT;

-- As of when everything has its position. NULL if that is not known: in a database that was copied row by row into another
-- server these numbers are that one's no more.
CREATE FUNCTION numbered_as_of() RETURNS PG_SNAPSHOT LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN pg_snapshot_xmax(seen) <= pg_snapshot_xmax(pg_current_snapshot()) THEN seen END
    FROM positions ORDER BY position DESC LIMIT 1
$$;

-- Rows of the log that are committed and have no position yet.
CREATE FUNCTION waiting_changes() RETURNS TABLE (seq BIGINT) LANGUAGE plpgsql STABLE ROWS 10
SET enable_seqscan = off AS $$
DECLARE
    upto    PG_SNAPSHOT := numbered_as_of();
    since   XID8 := coalesce(pg_snapshot_xmax(upto), '0');
    running XID8[] := ARRAY(SELECT pg_snapshot_xip(upto));
BEGIN
    -- Apart, or all of the index may be gone through for both.
    RETURN QUERY SELECT n.seq FROM unnumbered n WHERE n.xid >= since;
    RETURN QUERY SELECT n.seq FROM unnumbered n WHERE n.xid = ANY (running);
END
$$;

-- See 0001: what it does is the same, but for the courses, and for how it finds what waits. Of the transactions before a
-- snapshot's end all had ended but those that the snapshot names, and of what had ended all was numbered with it. So it looks
-- at those that it names and at those after it.
CREATE OR REPLACE FUNCTION number_changes(whole BOOLEAN DEFAULT FALSE) RETURNS BIGINT LANGUAGE plpgsql VOLATILE
SET enable_seqscan = off AS $$
DECLARE
    newest  BIGINT;
    start   BIGINT;
    last    BIGINT;
    upto    PG_SNAPSHOT := CASE WHEN NOT whole THEN numbered_as_of() END;
    since   XID8 := coalesce(pg_snapshot_xmax(upto), '0');
    running XID8[] := ARRAY(SELECT pg_snapshot_xip(upto));
    waits   BOOLEAN := EXISTS (SELECT FROM unnumbered WHERE xid >= since)
                    OR EXISTS (SELECT FROM unnumbered WHERE xid = ANY (running));
    course  courses;
    moved   BOOLEAN := FALSE;
BEGIN
    IF waits OR whole THEN
        SELECT * INTO course FROM courses ORDER BY first DESC LIMIT 1;
        moved := coalesce(course.timeline <> log_timeline() OR (whole AND course.system <> log_system()), FALSE);
    END IF;
    IF NOT waits AND NOT moved THEN
        RETURN (SELECT coalesce(max(position), 0) FROM positions);
    END IF;
    -- Whoever hears of a position must find it again, also if the session is one that does not wait for its commits.
    PERFORM set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') IN ('off', 'local');
    -- One at a time; "roster" in ASCII.
    PERFORM pg_advisory_xact_lock(x'726f73746572'::BIGINT);
    SELECT coalesce(max(position), 0) INTO newest FROM positions;
    IF moved THEN
        SELECT * INTO course FROM courses ORDER BY first DESC LIMIT 1;
        -- Further than anybody can have come meanwhile; and by chance, for another standby may have been promoted too.
        INSERT INTO courses (first, after, system, timeline)
        SELECT greatest(newest + 1, course.first) + (x'100000000'::BIGINT * (1 + random()))::BIGINT, newest,
               coalesce(log_system(), course.system), log_timeline()
        WHERE course.timeline <> log_timeline() OR course.system <> log_system();
    END IF;
    SELECT greatest(newest + 1, max(first)) INTO start FROM courses;
    WITH newer AS (
        DELETE FROM unnumbered WHERE xid >= since RETURNING seq
    ), older AS (
        DELETE FROM unnumbered WHERE xid = ANY (running) RETURNING seq
    ), taken AS (
        SELECT seq FROM newer UNION ALL SELECT seq FROM older
    ), numbered AS (
        -- The snapshot is that which the rows are taken by.
        INSERT INTO positions (position, seq, horizon, seen)
        SELECT start + place - 1, seq, pg_snapshot_xmin(pg_current_snapshot()),
               CASE WHEN place = count(*) OVER () THEN pg_current_snapshot() END
        FROM (SELECT seq, row_number() OVER (ORDER BY seq) AS place FROM taken) AS placed
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

-- Users who were deleted and whose history is too long to be erased with that: what the log still has of them is not shown.
CREATE TABLE erasures (
    user_id   BYTEA PRIMARY KEY,
    actor     TEXT COLLATE "C" NOT NULL,                            -- the same, as rows of the log name who acts
    seq       BIGINT NOT NULL,                                      -- rows before it are the user's: an id may be used again
    done_upto BIGINT NOT NULL DEFAULT 0                             -- rows about the user up to this one are erased
);

-- The log as it may be shown.
CREATE VIEW shown_changes AS
SELECT c.seq, c.at, c.actor, c.action, c.user_id, c.revision, c.request_id, c.fields, c.target, c.reason, c.by_another,
       CASE WHEN c.before IS NULL OR EXISTS (SELECT FROM erasures e WHERE e.user_id = c.user_id AND c.seq < e.seq)
            THEN NULL ELSE c.before END AS before,
       CASE WHEN c.after IS NULL OR EXISTS (SELECT FROM erasures e WHERE e.user_id = c.user_id AND c.seq < e.seq)
            THEN NULL ELSE c.after END AS after,
       CASE WHEN c.remote_address = '' OR EXISTS (
                SELECT FROM erasures e
                WHERE c.seq < e.seq AND (e.user_id = c.user_id OR (c.by_another AND e.actor = c.actor)))
            THEN '' ELSE c.remote_address END AS remote_address
FROM changes c;
