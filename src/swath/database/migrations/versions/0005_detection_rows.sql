-- Rows of detections go into a new table. The old table stays beside it, and the view
-- swath.detections shows both, so that the previous release reads, loads and deletes as before.
-- src/swath/database/move_rows.py then moves the old rows in batches, outside this transaction.

-- Readers and loads queue behind this lock. If it is not granted at once, the migration gives up
-- and tries again. The time is less than deadlock_timeout, so that no reader fails that has one of
-- the tables and waits for the other.
SET LOCAL lock_timeout = '500ms';
LOCK TABLE swath.scene_detections, swath.runs, swath.detections IN ACCESS EXCLUSIVE MODE;
SET LOCAL lock_timeout = 0;

DO $$
DECLARE
    dependents text;
BEGIN
    SELECT string_agg(DISTINCT v.oid::regclass::text, ', ') INTO dependents
    FROM pg_depend AS d
    INNER JOIN pg_rewrite AS w ON d.classid = 'pg_rewrite'::regclass AND w.oid = d.objid
    INNER JOIN pg_class AS v ON v.oid = w.ev_class
    WHERE
        d.refclassid = 'pg_class'::regclass
        AND d.refobjid = 'swath.detections'::regclass
        AND v.oid <> 'swath.scene_detections'::regclass;
    IF dependents IS NOT NULL THEN
        RAISE EXCEPTION 'the views % read the table swath.detections, which this release replaces by a '
            'view; drop them, migrate again, and create them anew', dependents
        USING ERRCODE = 'dependent_objects_still_exist';
    END IF;
END
$$;

-- One statement rewrites the table once. The expression of scene_id only fills the existing rows.
ALTER TABLE swath.runs
ADD COLUMN run int GENERATED ALWAYS AS IDENTITY CONSTRAINT runs_run UNIQUE,
ADD COLUMN scene_id text NOT NULL GENERATED ALWAYS AS (scene_uri) STORED,
ADD COLUMN active boolean NOT NULL GENERATED ALWAYS AS (status = 'succeeded') STORED,
ADD COLUMN acquired_at timestamptz,
ADD COLUMN footprint geometry(Geometry, 4326),
ADD COLUMN valid_area_m2 double precision,
ADD COLUMN platform text,
ADD COLUMN gsd double precision,
ADD COLUMN cloud_cover double precision,
ADD COLUMN sun_azimuth double precision,
ADD COLUMN sun_elevation double precision,
ADD COLUMN view_off_nadir double precision,
ADD COLUMN view_azimuth double precision,
ADD COLUMN view_incidence double precision,
ADD COLUMN software text;
ALTER TABLE swath.runs ALTER COLUMN scene_id DROP EXPRESSION;

-- The previous release does not write scene_id.
CREATE FUNCTION swath.set_scene_id() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    NEW.scene_id := NEW.scene_uri;
    RETURN NEW;
END
$$;

CREATE TRIGGER runs_set_scene_id BEFORE INSERT ON swath.runs
FOR EACH ROW WHEN (NEW.scene_id IS NULL) EXECUTE FUNCTION swath.set_scene_id();

CREATE INDEX runs_scene_id_model ON swath.runs (scene_id, model);
CREATE INDEX runs_acquired_at ON swath.runs (acquired_at, run) WHERE active;
CREATE INDEX runs_footprint ON swath.runs USING gist (footprint) WHERE active;

COMMENT ON COLUMN swath.runs.run IS 'Number of the run, which the rows of its detections have.';
COMMENT ON COLUMN swath.runs.scene_id IS
    'Identity of the scene: collection/id of a STAC Item, else scene_uri. Runs with the same scene_id and model replace each other.';
COMMENT ON COLUMN swath.runs.active IS
    'Whether the detections of the run are the current ones of its scene and model: the status is succeeded.';
COMMENT ON COLUMN swath.runs.acquired_at IS
    'Time at which the scene was acquired, from its metadata. Null if the metadata do not state it.';
COMMENT ON COLUMN swath.runs.footprint IS
    'Outline of the valid pixels, longitude and latitude on WGS 84; split where it crosses the antimeridian. '
    'Null if the run failed, or an earlier release loaded it.';
COMMENT ON COLUMN swath.runs.valid_area_m2 IS
    'Area of the valid pixels on the ellipsoid, in m². Null if the run failed, or an earlier release loaded it.';
COMMENT ON COLUMN swath.runs.platform IS 'Name of the satellite or aircraft; null if unknown.';
COMMENT ON COLUMN swath.runs.gsd IS 'Ground sampling distance of the finest band, in m; null if unknown.';
COMMENT ON COLUMN swath.runs.cloud_cover IS 'Cloud cover in percent, from the metadata; null if unknown.';
COMMENT ON COLUMN swath.runs.sun_azimuth IS 'Azimuth of the sun in degrees, clockwise from north; null if unknown.';
COMMENT ON COLUMN swath.runs.sun_elevation IS
    'Elevation of the sun above the horizon in degrees; null if unknown.';
COMMENT ON COLUMN swath.runs.view_off_nadir IS
    'Angle between line of sight and nadir in degrees, at the sensor; null if unknown.';
COMMENT ON COLUMN swath.runs.view_azimuth IS
    'Azimuth of the line from the scene to the sensor in degrees, clockwise from north; null if unknown.';
COMMENT ON COLUMN swath.runs.view_incidence IS
    'Angle between line of sight and the vertical in degrees, at the ground; null if unknown.';
COMMENT ON COLUMN swath.runs.software IS
    'Version of swath that wrote the row; null if an earlier release wrote it.';

CREATE TABLE swath.classes (
    class smallint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL CONSTRAINT classes_name UNIQUE
);

COMMENT ON TABLE swath.classes IS 'Numbers of the classes in swath.detection_rows.';
COMMENT ON COLUMN swath.classes.class IS 'Number of the class, which is the same in all models.';
COMMENT ON COLUMN swath.classes.name IS 'Name of the class, as the model packages have it.';

-- The order of the columns leaves no padding between them.
CREATE TABLE swath.detection_rows (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cell bigint NOT NULL,
    tile bigint NOT NULL,
    run int NOT NULL,
    score real NOT NULL,
    area_m2 real NOT NULL,
    length_m real NOT NULL,
    class smallint NOT NULL,
    geom geometry(Geometry, 4326) NOT NULL
)
WITH (
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_insert_scale_factor = 0.02,
    autovacuum_analyze_scale_factor = 0.02
);

CREATE INDEX detection_rows_run ON swath.detection_rows (run);
CREATE INDEX detection_rows_geom ON swath.detection_rows USING gist (geom);
-- A map tile is one range of cells, so that counts by tile read this index alone.
CREATE INDEX detection_rows_cell ON swath.detection_rows (cell) INCLUDE (run, score, class);

COMMENT ON TABLE swath.detection_rows IS
    'Detections with the numbers of their run and class: for each scene and model, those of the run that was loaded last.';
COMMENT ON COLUMN swath.detection_rows.cell IS
    'Morton code, x in the even bits, of the Web Mercator tile at zoom 26 that contains the center of the largest part. '
    'The cells of tile z/x/y are morton(x, y) << 2 * (26 - z) and the next 4 ^ (26 - z) - 1 numbers.';
COMMENT ON COLUMN swath.detection_rows.tile IS
    'Number of the tile whose core contains the detection''s center; tiles are numbered row by row.';
COMMENT ON COLUMN swath.detection_rows.run IS 'Run in swath.runs. Deleting the run deletes its detections.';
COMMENT ON COLUMN swath.detection_rows.score IS 'Score that the model gave, 0 to 1.';
COMMENT ON COLUMN swath.detection_rows.area_m2 IS 'Area on the ellipsoid, in m².';
COMMENT ON COLUMN swath.detection_rows.length_m IS
    'Longer side, on the ground and in m, of the smallest rotated rectangle around the detection.';
COMMENT ON COLUMN swath.detection_rows.class IS 'Class in swath.classes.';
COMMENT ON COLUMN swath.detection_rows.geom IS
    'Polygon or MultiPolygon, longitude and latitude on WGS 84; split where it crosses the antimeridian.';

-- Both tables take their ids from one sequence.
ALTER TABLE swath.detections RENAME TO detections_0004;
SELECT setval(
    pg_get_serial_sequence('swath.detection_rows', 'id'),
    nextval(pg_get_serial_sequence('swath.detections_0004', 'id')),
    false
);
ALTER TABLE swath.detections_0004 ALTER COLUMN id DROP IDENTITY;

COMMENT ON TABLE swath.detections_0004 IS
    'Rows that an earlier release loaded and that are still to be moved to swath.detection_rows. A later migration drops it.';

CREATE VIEW swath.detections AS
SELECT
    d.id,
    r.run_id,
    c.name AS class,
    d.score,
    d.tile,
    d.geom,
    d.run,
    d.cell,
    d.area_m2,
    d.length_m
FROM swath.detection_rows AS d
LEFT JOIN swath.runs AS r ON d.run = r.run
LEFT JOIN swath.classes AS c ON d.class = c.class
UNION ALL
SELECT
    d.id,
    d.run_id,
    d.class,
    d.score,
    d.tile,
    d.geom,
    r.run,
    NULL AS cell,
    NULL AS area_m2,
    NULL AS length_m
FROM swath.detections_0004 AS d
LEFT JOIN swath.runs AS r ON d.run_id = r.run_id;

COMMENT ON VIEW swath.detections IS
    'Detections with the names of their classes: for each scene and model, those of the run that was loaded last.';
COMMENT ON COLUMN swath.detections.cell IS
    'See swath.detection_rows. Null, as area_m2 and length_m, while migrate_database has not moved the row.';

-- The previous release loads and deletes through the view. A row may be moved while the view is read:
-- the first DELETE waits for the move, and the second one then deletes the moved row.
CREATE FUNCTION swath.change_detection() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        DELETE FROM swath.detections_0004 WHERE id = OLD.id;
        DELETE FROM swath.detection_rows WHERE id = OLD.id;
        RETURN OLD;
    END IF;
    INSERT INTO swath.detections_0004 (id, run_id, class, score, tile, geom)
    VALUES (
        nextval('swath.detection_rows_id_seq'), NEW.run_id, NEW.class, NEW.score, NEW.tile, NEW.geom
    );
    RETURN NEW;
END
$$;

CREATE TRIGGER detections_change INSTEAD OF INSERT OR DELETE ON swath.detections
FOR EACH ROW EXECUTE FUNCTION swath.change_detection();

CREATE OR REPLACE FUNCTION swath.delete_detections_of_deleted_runs() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM swath.detections_0004 AS d USING deleted WHERE d.run_id = deleted.run_id;
    DELETE FROM swath.detection_rows AS d USING deleted WHERE d.run = deleted.run;
    RETURN NULL;
END
$$;

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
INNER JOIN swath.runs AS r ON d.run_id = r.run_id;

-- Whoever reads the old table may read what replaces it.
DO $$
DECLARE
    reader text;
BEGIN
    FOR reader IN
        SELECT DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END
        FROM pg_class AS c
        CROSS JOIN LATERAL aclexplode(c.relacl) AS a
        WHERE
            c.oid = 'swath.detections_0004'::regclass
            AND a.privilege_type = 'SELECT'
            AND a.grantee <> c.relowner
    LOOP
        EXECUTE format(
            'GRANT SELECT ON swath.detections, swath.detection_rows, swath.classes TO %s', reader
        );
    END LOOP;
END
$$;
