CREATE TABLE swath.runs (
    run_id uuid PRIMARY KEY,
    scene_uri text NOT NULL,
    scene_etag text NOT NULL,
    scene_dropped_at timestamptz NOT NULL,
    model text NOT NULL,
    model_digest text NOT NULL,
    options jsonb NOT NULL,
    backend text,
    status text NOT NULL CHECK (
        status IN ('succeeded', 'replaced', 'superseded', 'failed', 'timed_out', 'aborted')
    ),
    error text,
    cause text,
    tiles_planned bigint,
    tiles_succeeded bigint,
    tiles_failed bigint,
    tiles_skipped bigint,
    detections bigint,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz NOT NULL,
    CHECK (tiles_succeeded + tiles_failed + tiles_skipped = tiles_planned)
);

CREATE INDEX runs_scene_uri_model ON swath.runs (scene_uri, model);

COMMENT ON TABLE swath.runs IS
    'Runs that ended: one scene, one model and one set of options. The same input always has the same run_id.';
COMMENT ON COLUMN swath.runs.scene_etag IS 'ETag of the object at scene_uri that was read.';
COMMENT ON COLUMN swath.runs.scene_dropped_at IS
    'Time at which the scene was uploaded. The detections of the latest version are kept.';
COMMENT ON COLUMN swath.runs.model_digest IS 'SHA-256 of the model package; empty if no model had that name.';
COMMENT ON COLUMN swath.runs.options IS 'Options of the request, besides the scene and the model.';
COMMENT ON COLUMN swath.runs.backend IS 'Backend that ran the shards; null if the run failed before it was chosen.';
COMMENT ON COLUMN swath.runs.status IS
    'succeeded: the detections of the run are in the table. replaced: a later run of the scene and model replaced them. '
    'superseded: a later version of the scene was already loaded, so nothing was loaded. '
    'failed, timed_out, aborted: see error and cause.';
COMMENT ON COLUMN swath.runs.error IS 'Name of the error; null unless the run failed.';
COMMENT ON COLUMN swath.runs.cause IS 'Message of the error; null unless the run failed.';
COMMENT ON COLUMN swath.runs.tiles_planned IS
    'Number of tiles of the scene: the sum of succeeded, failed and skipped. Null if the run failed.';
COMMENT ON COLUMN swath.runs.tiles_skipped IS 'Number of tiles without a valid pixel.';
COMMENT ON COLUMN swath.runs.detections IS 'Number of detections of the run. Null if the run failed.';
COMMENT ON COLUMN swath.runs.recorded_at IS 'Time at which this row was first written.';
COMMENT ON COLUMN swath.runs.ended_at IS 'Time at which the detections were loaded, or the run failed.';

-- run_id is not a foreign key. Immediate checks of a foreign key take a third of a load's time, and
-- deferred checks need memory for each row. Rows are inserted only together with their run,
-- and the trigger below deletes them with it.
CREATE TABLE swath.detections (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id uuid NOT NULL,
    class text NOT NULL,
    score real NOT NULL,
    tile bigint NOT NULL,
    geom geometry(Geometry, 4326) NOT NULL
)
-- Rows are inserted and deleted a whole run at a time. With the default of a fifth of the table,
-- tens of millions of dead rows would accumulate before a vacuum.
WITH (
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_insert_scale_factor = 0.02,
    autovacuum_analyze_scale_factor = 0.02
);

CREATE FUNCTION swath.delete_detections_of_deleted_runs() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM swath.detections USING deleted WHERE detections.run_id = deleted.run_id;
    RETURN NULL;
END
$$;

CREATE TRIGGER runs_delete_detections
AFTER DELETE ON swath.runs
REFERENCING OLD TABLE AS deleted
FOR EACH STATEMENT EXECUTE FUNCTION swath.delete_detections_of_deleted_runs();

CREATE INDEX detections_geom ON swath.detections USING gist (geom);
CREATE INDEX detections_run_id ON swath.detections (run_id);

COMMENT ON TABLE swath.detections IS
    'Detections: for each scene and model, those of the run that was loaded last.';
COMMENT ON COLUMN swath.detections.run_id IS 'Run in swath.runs. Deleting the run deletes its detections.';
COMMENT ON COLUMN swath.detections.score IS 'Score that the model gave, 0 to 1.';
COMMENT ON COLUMN swath.detections.tile IS
    'Number of the tile whose core contains the detection''s center; tiles are numbered row by row.';
COMMENT ON COLUMN swath.detections.geom IS
    'Polygon or MultiPolygon, longitude and latitude on WGS 84; split where it crosses the antimeridian.';

CREATE VIEW swath.scene_detections AS
SELECT
    d.id,
    r.scene_uri,
    r.scene_dropped_at,
    r.model,
    d.class,
    d.score,
    d.geom,
    d.run_id
FROM swath.detections AS d
INNER JOIN swath.runs AS r USING (run_id);

COMMENT ON VIEW swath.scene_detections IS 'Detections with their scene and model, for queries and maps.';
