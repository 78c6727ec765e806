-- The default is for the release before this one, which writes neither column.
ALTER TABLE swath.runs ADD COLUMN scene_sequencer text COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE swath.runs ADD COLUMN requested_at timestamptz;

COMMENT ON COLUMN swath.runs.scene_sequencer IS
    'S3''s order of the writes to scene_uri, without the zeros on its right: of two versions the greater one is the later. '
    'Empty where no event told of the scene; then scene_dropped_at orders them.';
COMMENT ON COLUMN swath.runs.requested_at IS
    'When the run was requested; orders two runs of one drop. Null if an earlier release wrote the row.';
COMMENT ON COLUMN swath.runs.scene_dropped_at IS
    'When the scene was put there, of the latest time that these bytes were.';
