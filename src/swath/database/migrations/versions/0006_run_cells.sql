-- Counts of detections by cell, and numbers of changes. The load writes the counts with the rows of
-- a run. src/swath/database/summarize_runs.py counts the rows that are there already, in batches and
-- outside this transaction.

-- Less than deadlock_timeout, as in migration 0005: it gives up and tries again.
SET LOCAL lock_timeout = '500ms';
LOCK TABLE swath.scene_detections, swath.runs IN ACCESS EXCLUSIVE MODE;
SET LOCAL lock_timeout = 0;

-- The edges are those of SCORE_EDGES in src/swath/database/cell_counts.py, as float32.
CREATE FUNCTION swath.score_bin(score real) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN width_bucket(score, '{0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8,0.9}'::real[]);

COMMENT ON FUNCTION swath.score_bin IS
    'Number of the bin of a score, 0 to 9: bin n has the scores from n / 10, included, as float32.';

-- A row has no key: the counts of a large run may be in several rows of one cell.
CREATE TABLE swath.run_cells (
    cell bigint NOT NULL,
    run int NOT NULL,
    n0 int NOT NULL,
    n1 int NOT NULL,
    n2 int NOT NULL,
    n3 int NOT NULL,
    n4 int NOT NULL,
    n5 int NOT NULL,
    n6 int NOT NULL,
    n7 int NOT NULL,
    n8 int NOT NULL,
    n9 int NOT NULL,
    level smallint NOT NULL,
    class smallint NOT NULL
)
WITH (
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_insert_scale_factor = 0.02,
    autovacuum_analyze_scale_factor = 0.02
);

CREATE INDEX run_cells_cell ON swath.run_cells (level, cell);
CREATE INDEX run_cells_run ON swath.run_cells (run);

COMMENT ON TABLE swath.run_cells IS
    'Counts of detections by run, class, score and cell at the levels 6, 8, 10 and 12. '
    'The counts of a cell and class are the sums of its rows.';
COMMENT ON COLUMN swath.run_cells.cell IS
    'Morton code, x in the even bits, of a Web Mercator tile at the zoom of the level: '
    'detection_rows.cell >> 2 * (26 - level).';
COMMENT ON COLUMN swath.run_cells.n0 IS
    'Number of detections whose swath.score_bin is 0; n1 to n9 likewise.';
COMMENT ON COLUMN swath.run_cells.run IS 'Run in swath.runs. Deleting the run deletes its counts.';
COMMENT ON COLUMN swath.run_cells.level IS 'Zoom of the Web Mercator tile that is the cell.';
COMMENT ON COLUMN swath.run_cells.class IS 'Class in swath.classes.';

ALTER TABLE swath.runs ADD COLUMN summarized_at timestamptz;
-- A run that succeeded can be switched off without a change of its status.
ALTER TABLE swath.runs ALTER COLUMN active DROP EXPRESSION;

CREATE INDEX runs_unsummarized ON swath.runs (run)
WHERE status = 'succeeded' AND summarized_at IS NULL;
CREATE INDEX runs_switched_off ON swath.runs (run) WHERE status = 'succeeded' AND NOT active;
CREATE INDEX runs_ended_at ON swath.runs USING brin (ended_at);

COMMENT ON COLUMN swath.runs.summarized_at IS
    'Time at which the detections of the run were counted in swath.run_cells; null if they are still to be counted.';
COMMENT ON COLUMN swath.runs.active IS
    'Whether the detections of the run are the current ones of its scene and model: the status is succeeded, '
    'and nobody has switched the run off.';

-- A run whose status is written has new rows or none, so its counts are not valid any more. A load
-- of this release writes summarized_at with the status. The previous release does not, and
-- summarize_runs then counts its rows.
CREATE FUNCTION swath.change_run() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    NEW.active := NEW.status = 'succeeded';
    IF TG_OP = 'UPDATE' THEN
        DELETE FROM swath.run_cells WHERE run = OLD.run;
        IF NEW.summarized_at IS NOT DISTINCT FROM OLD.summarized_at THEN
            NEW.summarized_at := NULL;
        END IF;
    END IF;
    IF NOT NEW.active THEN
        NEW.summarized_at := NULL;
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER runs_change BEFORE INSERT OR UPDATE OF status ON swath.runs
FOR EACH ROW EXECUTE FUNCTION swath.change_run();

CREATE OR REPLACE FUNCTION swath.delete_detections_of_deleted_runs() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM swath.detections_0004 AS d USING deleted WHERE d.run_id = deleted.run_id;
    DELETE FROM swath.detection_rows AS d USING deleted WHERE d.run = deleted.run;
    DELETE FROM swath.run_cells AS d USING deleted WHERE d.run = deleted.run;
    RETURN NULL;
END
$$;

-- The sum of n is the version of the database for caches. Transactions that commit at the same
-- time rarely change the same row. The row is changed at the commit, so no other lock is taken
-- while a transaction has it.
CREATE TABLE swath.changes (
    slot smallint PRIMARY KEY,
    n bigint NOT NULL
)
WITH (fillfactor = 10);

INSERT INTO swath.changes (slot, n) SELECT slot, 0 FROM generate_series(0, 31) AS slot;

COMMENT ON TABLE swath.changes IS
    'Numbers of changes of swath.runs. Their sum changes whenever a query could return something else.';
COMMENT ON COLUMN swath.changes.slot IS 'Process number of the session modulo 32.';
COMMENT ON COLUMN swath.changes.n IS 'Number of changes.';

CREATE FUNCTION swath.count_change() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    transaction text := pg_current_xact_id()::text;
BEGIN
    -- One change counts for all runs of a transaction.
    IF current_setting('swath.counted_transaction', true) IS DISTINCT FROM transaction THEN
        UPDATE swath.changes SET n = n + 1 WHERE slot = pg_backend_pid() % 32;
        PERFORM set_config('swath.counted_transaction', transaction, true);
    END IF;
    RETURN NULL;
END
$$;

CREATE CONSTRAINT TRIGGER runs_count_change
AFTER INSERT OR UPDATE OR DELETE ON swath.runs
DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION swath.count_change();

CREATE OR REPLACE VIEW swath.scene_detections AS
SELECT
    d.id,
    r.scene_uri,
    r.scene_dropped_at,
    r.model,
    c.name AS class,
    d.score,
    d.geom,
    r.run_id,
    r.scene_id,
    r.acquired_at,
    r.platform,
    d.area_m2,
    d.length_m,
    d.cell,
    r.run
FROM swath.detection_rows AS d
INNER JOIN swath.runs AS r ON d.run = r.run
INNER JOIN swath.classes AS c ON d.class = c.class
WHERE r.active
UNION ALL
SELECT
    d.id,
    r.scene_uri,
    r.scene_dropped_at,
    r.model,
    d.class,
    d.score,
    d.geom,
    r.run_id,
    r.scene_id,
    r.acquired_at,
    r.platform,
    NULL AS area_m2,
    NULL AS length_m,
    NULL AS cell,
    r.run
FROM swath.detections_0004 AS d
INNER JOIN swath.runs AS r ON d.run_id = r.run_id
WHERE r.active;

COMMENT ON VIEW swath.scene_detections IS
    'Detections of the active runs with their scene and model, for queries and maps.';

-- Whoever reads the detections may read their counts.
DO $$
DECLARE
    reader text;
BEGIN
    FOR reader IN
        SELECT DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END
        FROM pg_class AS c
        CROSS JOIN LATERAL aclexplode(c.relacl) AS a
        WHERE
            c.oid = 'swath.detection_rows'::regclass
            AND a.privilege_type = 'SELECT'
            AND a.grantee <> c.relowner
    LOOP
        EXECUTE format('GRANT SELECT ON swath.run_cells, swath.changes TO %s', reader);
    END LOOP;
END
$$;
