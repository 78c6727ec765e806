from __future__ import annotations

from local_cloud.moto_patches import batch_job_lists, job_processes
from local_cloud.services import Services
from tests.local_cloud.canaries.aws import Aws, applied
from tests.local_cloud.canaries.test_job_processes import (
    ended,
    folder,  # noqa: F401 - a fixture
    image,  # noqa: F401 - a fixture
    queue,  # noqa: F401 - a fixture
    submit,
)


def test_canary_batch_job_lists(services: Services, aws: Aws, queue: str, image: str):  # noqa: F811
    batch = aws.client("batch")
    with applied(services, job_processes):
        array = submit(aws, queue, image, "odd", arrayProperties={"size": 4})
        ended(aws, array)
        before = batch.list_jobs(arrayJobId=array, jobStatus="FAILED", maxResults=1)
    with applied(services, job_processes, batch_job_lists):
        pages = batch.get_paginator("list_jobs").paginate(
            arrayJobId=array, jobStatus="FAILED", PaginationConfig={"PageSize": 1}
        )
        found = [page["jobSummaryList"] for page in pages]
        running = batch.list_jobs(arrayJobId=array)["jobSummaryList"]
        (child,) = batch.describe_jobs(jobs=[f"{array}:3"])["jobs"]
        (parent,) = batch.describe_jobs(jobs=[array])["jobs"]

    assert [len(before["jobSummaryList"]), "nextToken" in before] == [2, False]
    assert "arrayProperties" not in before["jobSummaryList"][0]
    assert [[job["arrayProperties"]["index"] for job in page] for page in found] == [[1], [3]]
    assert running == [], "without a status, those are listed that run"
    assert child["arrayProperties"]["index"] == 3
    assert child["container"]["exitCode"] == 1
    assert parent["arrayProperties"]["size"] == 4
