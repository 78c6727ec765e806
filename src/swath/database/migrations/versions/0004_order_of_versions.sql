-- The previous release writes neither column: the first has a default, the second may be null.
ALTER TABLE swath.runs ADD COLUMN scene_sequencer text COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE swath.runs ADD COLUMN requested_at timestamptz;

COMMENT ON COLUMN swath.runs.scene_sequencer IS
    'Sequencer of the S3 event for scene_uri, without trailing zeros: of two versions, the greater one is the later. '
    'Empty if no event reported the scene; scene_dropped_at then gives the order.';
COMMENT ON COLUMN swath.runs.requested_at IS
    'Time of the request, which orders two runs of one upload. Null if an earlier release wrote the row.';
COMMENT ON COLUMN swath.runs.scene_dropped_at IS
    'Time at which the scene was uploaded; the latest one if the same bytes were uploaded again.';
