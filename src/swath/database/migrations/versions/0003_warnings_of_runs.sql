ALTER TABLE swath.runs ADD COLUMN warnings text [] NOT NULL DEFAULT '{}';

COMMENT ON COLUMN swath.runs.warnings IS
    'Sentences about what looks wrong though the run succeeded, such as numbers of another unit than the model expects.';
