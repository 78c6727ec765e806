ALTER TABLE swath.runs ADD COLUMN warnings text [] NOT NULL DEFAULT '{}';

COMMENT ON COLUMN swath.runs.warnings IS
    'Warnings of a run that succeeded, one sentence each, such as about values in another unit than the model expects.';
