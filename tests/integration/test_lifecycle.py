"""A deployed stack is updated, rolled back and updated again, and its runs go on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from local_cloud.cloud import LocalCloud
from local_cloud.errors import LocalCloudError
from tests.integration.pipeline import Pipeline, eventually
from tests.integration.releases import (
    LATER,
    LATER_MODEL,
    broken_release,
    faulty_release,
    later_release,
)
from tests.integration.test_pipeline import write_scene

pytestmark = [pytest.mark.cloud, pytest.mark.timeout(900)]


class Story:
    """A stack over several deployments, and scenes dropped in between."""

    def __init__(self, cloud: LocalCloud, folder: Path) -> None:
        self.cloud, self.folder = cloud, folder
        self.pipeline = Pipeline(cloud)
        self._seed = 0

    def scene(self, name: str) -> Path:
        self._seed += 1
        return write_scene(self.folder / f"{name}.tif", seed=self._seed)

    def run(self, name: str, *, model: str = "ships") -> Any:
        """Drop a new scene; its row in the database once its run is over."""
        return self.pipeline.wait(
            self.pipeline.drop(self.scene(name), f"incoming/{model}/{name}.tif")
        )

    def drop_again(self, name: str) -> None:
        """Drop a scene again that `run` has dropped."""
        self.pipeline.drop(self.folder / f"{name}.tif", f"incoming/ships/{name}.tif")

    def succeeded(self, uri: str) -> Any:
        """Wait until a scene's run has succeeded; its row."""
        return eventually(
            lambda: next((r for r in self.pipeline.runs(uri) if r.status == "succeeded"), None),
            f"the success of {uri}",
            300,
        )

    def start_on_batch(self, name: str) -> str:
        """Start a run on Batch; its execution's ARN."""
        uri = self.pipeline.drop(self.scene(name), f"elsewhere/{name}.tif")
        return self.pipeline.start(self.pipeline.request(uri, "batch"))

    def redrive(self, execution: str) -> dict[str, Any]:
        """Redrive an execution, and wait for its end."""
        self.pipeline.client("stepfunctions").redrive_execution(executionArn=execution)
        return self.pipeline.ended(execution)

    @property
    def revision(self) -> str:
        """The database's revision."""
        ((revision,),) = self.pipeline.query("SELECT version_num FROM swath.migration")
        return str(revision)

    def served_image(self) -> str:
        """The image of the only model that SageMaker has, which the endpoint serves."""
        sagemaker = self.pipeline.client("sagemaker")
        (model,) = sagemaker.list_models()["Models"]
        endpoint = sagemaker.describe_endpoint(
            EndpointName=self.pipeline.outputs["ServerlessEndpoint"]
        )
        config = sagemaker.describe_endpoint_config(
            EndpointConfigName=endpoint["EndpointConfigName"]
        )
        assert config["ProductionVariants"][0]["ModelName"] == model["ModelName"]
        described = sagemaker.describe_model(ModelName=model["ModelName"])
        return str(described["PrimaryContainer"]["Image"])

    def failed_deletions(self) -> list[str]:
        events = self.cloud.client("cloudformation").describe_stack_events(StackName="swath")
        return [
            f"{e['LogicalResourceId']}: {e.get('ResourceStatusReason')}"
            for e in events["StackEvents"]
            if e["ResourceStatus"] == "DELETE_FAILED"
        ]


def test_releases_follow_each_other_and_runs_go_on(own_cloud: LocalCloud, tmp_path: Path):
    old, new = faulty_release(tmp_path), later_release(tmp_path)
    story = Story(own_cloud, tmp_path)

    own_cloud.deploy(old)
    assert story.run("first").status == "succeeded"
    outputs, revision, image = own_cloud.outputs, story.revision, story.served_image()
    on_batch = story.start_on_batch("fragile-on-batch")
    on_lambda = story.run("fragile-on-lambda")
    assert on_lambda.status == story.pipeline.ended(on_batch)["status"].lower() == "failed"

    # A deployment that fails after its migration: CloudFormation goes back to the old release.
    with pytest.raises(LocalCloudError, match="is UPDATE_ROLLBACK_COMPLETE"):
        own_cloud.deploy(broken_release(new, tmp_path / "broken"))
    assert story.revision == LATER != revision
    assert story.served_image() == image
    assert story.run("after-rollback").status == "succeeded"
    assert story.run("fragile-after-rollback").status == "failed"

    # The release with the fault removed: what has failed goes on where it was.
    own_cloud.deploy(new)
    assert story.served_image() != image
    redriven = story.redrive(on_batch)
    assert redriven["status"] == "SUCCEEDED", redriven.get("cause")
    uri = story.pipeline.drop(
        tmp_path / "fragile-on-lambda.tif", on_lambda.scene_uri.split("/", 3)[3]
    )
    assert story.succeeded(uri).run_id == on_lambda.run_id
    after = story.run("after-update", model=LATER_MODEL)
    assert (after.status, after.model) == ("succeeded", LATER_MODEL)

    # Back to the old release by hand: it leaves the database as the new one made it.
    own_cloud.deploy(old)
    assert story.revision == LATER
    assert story.run("last").status == "succeeded"
    assert own_cloud.outputs == outputs
    assert story.failed_deletions() == []
