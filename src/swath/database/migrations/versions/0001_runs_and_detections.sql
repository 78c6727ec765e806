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
    'One scene through one model with one set of options. The same work always has the same run_id.';
COMMENT ON COLUMN swath.runs.scene_etag IS 'Which bytes under scene_uri were read.';
COMMENT ON COLUMN swath.runs.scene_dropped_at IS
    'When the scene was put there; of two versions the later one''s detections are kept.';
COMMENT ON COLUMN swath.runs.model_digest IS 'SHA-256 of the model package; empty if no model had that name.';
COMMENT ON COLUMN swath.runs.options IS 'What the run was asked for beside its scene and its model.';
COMMENT ON COLUMN swath.runs.backend IS 'Where the shards ran; null if the run failed before that was known.';
COMMENT ON COLUMN swath.runs.status IS
    'succeeded: its detections are in the table. replaced: a later run of the scene and model took their place. '
    'superseded: a later version of the scene was there already, and nothing was loaded. '
    'failed, timed_out, aborted: see error and cause.';
COMMENT ON COLUMN swath.runs.error IS 'The kind of failure; null unless the run failed.';
COMMENT ON COLUMN swath.runs.cause IS 'What went wrong, in words; null unless the run failed.';
COMMENT ON COLUMN swath.runs.tiles_planned IS
    'Tiles of the scene: the sum of succeeded, failed and skipped. Null if the run failed.';
COMMENT ON COLUMN swath.runs.tiles_skipped IS 'Tiles without a valid pixel.';
COMMENT ON COLUMN swath.runs.detections IS 'How many detections the run found. Null if the run failed.';
COMMENT ON COLUMN swath.runs.recorded_at IS 'When this row was first written.';
COMMENT ON COLUMN swath.runs.ended_at IS 'When the detections were loaded, or the run failed.';

-- run_id is no foreign key: checking one row by row takes as long as a third of the load, and the
-- checks that wait for the end of the transaction take memory for every row of it. Rows get here only
-- together with their run, and the trigger below takes them away with it.
CREATE TABLE swath.detections (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id uuid NOT NULL,
    class text NOT NULL,
    score real NOT NULL,
    tile bigint NOT NULL,
    geom geometry(Geometry, 4326) NOT NULL
)
-- Rows come and go a whole run at a time. The default, a fifth of the table, would let tens of
-- millions of dead rows pile up before they are cleared away.
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
    'What the models found: for each scene and model, the detections of the run that was loaded last.';
COMMENT ON COLUMN swath.detections.run_id IS 'The run in swath.runs; deleting that deletes its detections.';
COMMENT ON COLUMN swath.detections.score IS 'The model''s confidence, 0 to 1.';
COMMENT ON COLUMN swath.detections.tile IS
    'The tile of the scene in whose core the detection lies, counted row by row.';
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

COMMENT ON VIEW swath.scene_detections IS 'Each detection with its scene and its model, to read and to map.';
