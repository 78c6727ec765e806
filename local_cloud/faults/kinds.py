"""Define all faults that the local cloud offers, each with the source of AWS's behavior."""

from __future__ import annotations

from typing import Literal

import msgspec

from local_cloud.faults.http import HttpRequest, HttpResponse, json_error, s3_error

INVOCATIONS_PATH = "/invocations"


class Fault(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """Behavior of AWS for as long as it is switched on.

    Attributes:
        times: Maximum number of occurrences; None: no limit.
    """

    times: int | None = None


class HttpFault(Fault, frozen=True, kw_only=True):
    """Response that replaces the service's own."""

    def applies_to(self, request: HttpRequest) -> bool:
        """Return whether the fault applies to the request."""
        raise NotImplementedError

    def response(self) -> HttpResponse:
        """Return the response of the service."""
        raise NotImplementedError


class FunctionInactive(HttpFault, frozen=True, kw_only=True):
    """Lambda prepares a function that was not called for weeks, and refuses calls meanwhile.

    https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html; the message and the 409:
    https://github.com/boto/boto3/issues/3788,
    https://github.com/aws-solutions-library-samples/accelerated-intelligent-document-processing-on-aws/issues/801.
    The other statuses are those of Lambda's model in botocore.

    Events are refused too, which AWS does not document: EventBridge then delivers them again.

    Attributes:
        function: Part of the function's name.
        error: Code of the error.
    """

    function: str
    error: Literal[
        "CodeArtifactUserPendingException",
        "ResourceNotReadyException",
        "ResourceConflictException",
    ] = "CodeArtifactUserPendingException"

    def applies_to(self, request: HttpRequest) -> bool:
        """Return whether the request invokes the function."""
        return (
            request.service == "lambda"
            and request.path.endswith(INVOCATIONS_PATH)
            and self.function in request.path
        )

    def response(self) -> HttpResponse:
        """Return the error as Lambda sends it."""
        status = 502 if self.error == "ResourceNotReadyException" else 409
        return json_error(
            status, self.error, "Lambda is initializing your function. It will be ready shortly."
        )


class SlotsTaken(Fault, frozen=True, kw_only=True):
    """An account has few Lambda slots: calls without a free slot get TooManyRequestsException.

    Events wait in Lambda's queue instead. A new account has 10 slots in all.
    https://docs.aws.amazon.com/lambda/latest/dg/lambda-concurrency.html,
    https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html

    Attributes:
        slots: Maximum number of functions that run concurrently, all together.
    """

    slots: int


class DataApiResuming(HttpFault, frozen=True, kw_only=True):
    """The RDS Data API receives a statement while the paused cluster resumes.

    https://docs.aws.amazon.com/rdsdataservice/latest/APIReference/API_ExecuteStatement.html,
    https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-serverless-v2-auto-pause.html
    """

    def applies_to(self, request: HttpRequest) -> bool:
        """Return whether the request is a statement."""
        return request.service == "rds-data"

    def response(self) -> HttpResponse:
        """Return the error as the Data API sends it."""
        return json_error(
            400,
            "DatabaseResumingException",
            "The Aurora DB instance is resuming after being auto-paused. "
            "Please wait a few seconds and try again.",
        )


class SlowDown(HttpFault, frozen=True, kw_only=True):
    """S3 asks to reduce the request rate.

    https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html#ErrorCodeList

    Attributes:
        key: Part of the object's address, `bucket/key`.
        methods: HTTP methods that the fault applies to.
    """

    key: str
    methods: tuple[str, ...] = ("GET", "HEAD", "PUT", "POST")

    def applies_to(self, request: HttpRequest) -> bool:
        """Return whether the request is for such an object."""
        return _is_object(request, self.key) and request.method in self.methods

    def response(self) -> HttpResponse:
        """Return the error as S3 sends it."""
        return s3_error(503, "SlowDown", "Please reduce your request rate.")


class ConnectionBroken(Fault, frozen=True, kw_only=True):
    """S3 ends a connection in the middle of an object.

    Clients should retry interrupted transfers:
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance-guidelines.html

    Attributes:
        key: Part of the object's address, `bucket/key`.
    """

    key: str

    def applies_to(self, request: HttpRequest) -> bool:
        """Return whether the request reads such an object."""
        return _is_object(request, self.key) and request.method == "GET"


class DatabasePaused(Fault, frozen=True, kw_only=True):
    """The cluster is paused; the first connection resumes it, and all connections wait until then.

    Resuming takes about 15 s, and 30 s or more after a day. Connections may be refused meanwhile.
    https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-serverless-v2-auto-pause.html

    Attributes:
        seconds: Time in s from the first connection to the end of the pause; not shortened, since
            clients wait in real time.
        refused: Number of connections that are refused before the others are held.
    """

    seconds: float = 15.0
    refused: int = 0


class DatabaseRestarted(Fault, frozen=True, kw_only=True):
    """The database stops soon after a client has connected, and starts again.

    Open connections end, and new ones are refused meanwhile. A cluster restarts for maintenance,
    after a crash, and when it fails over, usually within 60 s.
    https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/Concepts.AuroraHighAvailability.html

    Attributes:
        after: Time in s from the connection to the stop.
        downtime: Time in s from the stop to the start.
        crashed: True if the server ends at once, and recovers from its log when it starts.
    """

    after: float = 0.0
    downtime: float = 1.0
    crashed: bool = False


class DiskFull(Fault, frozen=True, kw_only=True):
    """The disk has no space left for the temporary files of a function or job.

    The kernel refuses further data with ENOSPC: the process has its own small file system. A
    function's `/tmp` has 512 MB unless configured otherwise.
    https://docs.aws.amazon.com/lambda/latest/dg/configuration-ephemeral-storage.html

    Attributes:
        process: Part of the function's name, or of the job definition's.
        kib: Space in KiB.
    """

    process: str
    kib: int


class EventLate(Fault, frozen=True, kw_only=True):
    """An event of S3 arrives late, after events that were sent later.

    EventBridge guarantees no order:
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html

    Attributes:
        seconds: Delay in s; not shortened.
    """

    seconds: float


class NoCapacity(Fault, frozen=True, kw_only=True):
    """Batch has no host for a job: the account lacks quota, or the region lacks such hosts.

    The job stays RUNNABLE until an action of its queue cancels it.
    https://docs.aws.amazon.com/batch/latest/userguide/job_stuck_in_runnable_capacity.html

    Attributes:
        reason: Reason that Batch reports.
    """

    reason: str = "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY"


class SpotReclaimed(Fault, frozen=True, kw_only=True):
    """AWS reclaims the Spot host of a job while the job runs.

    The container gets SIGTERM. Batch reports what ends first, the container or the host: an exit
    code of 143, or a terminated host.
    https://docs.aws.amazon.com/batch/latest/userguide/bestpractices.html,
    https://github.com/nextflow-io/nextflow/issues/4096

    Attributes:
        reported: Part that ended first.
    """

    reported: Literal["container", "host"]


class ImageNotPulled(Fault, frozen=True, kw_only=True):
    """A host cannot pull the job's image: the registry or the network fails, or takes too long.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task_cannot_pull_image.html
    """


class DockerTimeout(Fault, frozen=True, kw_only=True):
    """Docker on a busy host does not create the job's container in time.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-error-codes.html,
    https://github.com/nextflow-io/nextflow/issues/5099
    """


class JobOutOfMemory(Fault, frozen=True, kw_only=True):
    """A job needs more memory than its container has, and is killed.

    https://docs.aws.amazon.com/batch/latest/userguide/troubleshooting.html
    """


class RequestExpired(Fault, frozen=True, kw_only=True):
    """An asynchronous request expires in the endpoint's queue.

    It counts as `ExpiredRequests`. AWS does not document whether the error topic gets a
    notification.
    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpointAsync.html,
    https://docs.aws.amazon.com/sagemaker/latest/dg/async-inference-monitor.html

    Attributes:
        notified: True if the error topic gets a notification.
    """

    notified: bool


class TimeLapse(Fault, frozen=True, kw_only=True):
    """Hours of waiting pass in seconds, including time limits of states.

    This is not a fault of AWS; it shows the effects of faults after hours.

    Attributes:
        factor: Factor by which AWS's waits and the time limits of states are shortened.
    """

    factor: float


def _is_object(request: HttpRequest, key: str) -> bool:
    return request.service == "s3" and key in request.path


ANY_FAULT = (
    ConnectionBroken
    | DataApiResuming
    | DatabasePaused
    | DatabaseRestarted
    | DiskFull
    | DockerTimeout
    | EventLate
    | FunctionInactive
    | ImageNotPulled
    | JobOutOfMemory
    | NoCapacity
    | RequestExpired
    | SlotsTaken
    | SlowDown
    | SpotReclaimed
    | TimeLapse
)
"""Union of all faults, as they are sent to the local cloud."""
