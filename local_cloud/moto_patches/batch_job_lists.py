"""List an array's child jobs by page and by status, each with its index.

AWS: https://docs.aws.amazon.com/batch/latest/APIReference/API_ListJobs.html

Moto 5.2.5 lists all jobs on one page, with every status if none is requested, and omits the index
of children.
"""

from __future__ import annotations

import json
from typing import Any

from moto.batch.models import Job
from moto.batch.responses import BatchResponse

from local_cloud.moto_patches.patching import Patcher
from local_cloud.services import Services

NAME = "batch_job_lists"

_DEFAULT_PAGE_SIZE = 100


def apply(patcher: Patcher, services: Services) -> None:
    """Split the list into pages, and add the index that moto omits from children."""

    def listjobs(response: Any) -> str:
        jobs = response.batch_backend.list_jobs(
            job_queue_name=response._get_param("jobQueue"),
            array_job_id=response._get_param("arrayJobId"),
            job_status=response._get_param("jobStatus") or "RUNNING",
            filters=response._get_param("filters"),
        )
        start = int(response._get_param("nextToken") or 0)
        end = start + int(response._get_param("maxResults") or _DEFAULT_PAGE_SIZE)
        page: dict[str, Any] = {"jobSummaryList": [job.describe_short() for job in jobs[start:end]]}
        return json.dumps(page | ({"nextToken": str(end)} if end < len(jobs) else {}))

    def describe_short(job: Any) -> dict[str, Any]:
        summary: dict[str, Any] = original(job)
        if "index" in job.array_properties:
            summary["arrayProperties"] = {"index": job.array_properties["index"]}
        return summary

    patcher.replace(BatchResponse, "listjobs", listjobs)
    original = patcher.replace(Job, "describe_short", describe_short)
