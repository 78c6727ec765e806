import pytest

from swath.errors import PayloadError
from swath.pipeline.paths import RunPaths


class TestRunPaths:
    @pytest.mark.parametrize("work", ["s3://work", "s3://work/deep/er", "/data/runs/w"])
    def test_are_found_again_from_the_plan(self, work: str):
        paths = RunPaths(work, "id-1")

        assert RunPaths.from_plan_uri(paths.plan) == paths

    @pytest.mark.parametrize("uri", ["s3://work/plan.json", "/w/runs/a/b/plan.json", "/w/runs/"])
    def test_are_those_of_no_run_elsewhere(self, uri: str):
        with pytest.raises(PayloadError, match="is not the address of a plan"):
            RunPaths.from_plan_uri(uri)

    def test_keep_each_shard_apart(self):
        paths = RunPaths("s3://work", "id-1")

        assert paths.shard(3) == "s3://work/runs/id-1/shards/3.parquet"
        assert paths.shard_list == "s3://work/runs/id-1/shards.json"
        assert paths.receipt(3) == "s3://work/runs/id-1/shards/3.json"
