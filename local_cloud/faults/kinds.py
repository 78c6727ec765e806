"""All faults that the local cloud can be asked for, each with the source of what AWS does."""

from __future__ import annotations

from typing import Literal

import msgspec

from local_cloud.faults.http import Answer, Request, json_error, s3_error

LAMBDA_INVOKE = "/invocations"


class Fault(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """Something that AWS does, for as long as it is switched on.

    Attributes:
        times: how often it happens, then no more; None for always.
    """

    times: int | None = None


class HttpFault(Fault, frozen=True, kw_only=True):
    """An answer in the place of the service's own."""

    def fits(self, request: Request) -> bool:
        """Return whether the request meets this fault."""
        raise NotImplementedError

    def answer(self) -> Answer:
        """Return what the service answers."""
        raise NotImplementedError


class FunctionInactive(HttpFault, frozen=True, kw_only=True):
    """Lambda prepares a function that was not called for weeks, and refuses calls meanwhile.

    https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html; the words and the 409:
    https://github.com/boto/boto3/issues/3788,
    https://github.com/aws-solutions-library-samples/accelerated-intelligent-document-processing-on-aws/issues/801.
    The other statuses are those of Lambda's model in botocore.
    Events are refused too, which AWS does not document: EventBridge then delivers them again.

    Attributes:
        function: a part of the function's name.
        error: which of the errors.
    """

    function: str
    error: Literal[
        "CodeArtifactUserPendingException",
        "ResourceNotReadyException",
        "ResourceConflictException",
    ] = "CodeArtifactUserPendingException"

    def fits(self, request: Request) -> bool:
        """Return whether the request invokes the function."""
        return (
            request.service == "lambda"
            and request.path.endswith(LAMBDA_INVOKE)
            and self.function in request.path
        )

    def answer(self) -> Answer:
        """Return the error as Lambda sends it."""
        status = 502 if self.error == "ResourceNotReadyException" else 409
        return json_error(
            status, self.error, "Lambda is initializing your function. It will be ready shortly."
        )


class SlotsTaken(Fault, frozen=True, kw_only=True):
    """An account has few Lambda slots: calls that find none free get TooManyRequestsException.

    Events wait in Lambda's queue instead. A new account has 10 slots in all.
    https://docs.aws.amazon.com/lambda/latest/dg/lambda-concurrency.html,
    https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html

    Attributes:
        slots: how many functions may run at a time, all together.
    """

    slots: int


class DataApiResuming(HttpFault, frozen=True, kw_only=True):
    """The RDS Data API is asked while the paused cluster resumes.

    https://docs.aws.amazon.com/rdsdataservice/latest/APIReference/API_ExecuteStatement.html,
    https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-serverless-v2-auto-pause.html
    """

    def fits(self, request: Request) -> bool:
        """Return whether the request is a statement."""
        return request.service == "rds-data"

    def answer(self) -> Answer:
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
        key: a part of the object's address, `bucket/key`.
        methods: of HTTP.
    """

    key: str
    methods: tuple[str, ...] = ("GET", "HEAD", "PUT", "POST")

    def fits(self, request: Request) -> bool:
        """Return whether the request is for such an object."""
        return _is_object(request, self.key) and request.method in self.methods

    def answer(self) -> Answer:
        """Return the error as S3 sends it."""
        return s3_error(503, "SlowDown", "Please reduce your request rate.")


class ConnectionBroken(Fault, frozen=True, kw_only=True):
    """S3 ends a connection in the middle of an object.

    Clients are to retry what breaks off:
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance-guidelines.html

    Attributes:
        key: a part of the object's address, `bucket/key`.
    """

    key: str

    def fits(self, request: Request) -> bool:
        """Return whether the request reads such an object."""
        return _is_object(request, self.key) and request.method == "GET"


class DatabasePaused(Fault, frozen=True, kw_only=True):
    """The cluster is paused; the first connection resumes it, and all wait until it has.

    It takes about 15 s, and 30 s or more after a day. Connections may be refused meanwhile.
    https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-serverless-v2-auto-pause.html

    Attributes:
        seconds: from the first connection to the end of the pause; not shortened, since those who
            connect wait in real time.
        refused: how many connections are refused before the others are held.
    """

    seconds: float = 15.0
    refused: int = 0


class DatabaseRestarted(Fault, frozen=True, kw_only=True):
    """The database stops soon after somebody has connected, and starts again.

    Open connections end, and others are refused meanwhile. A cluster restarts for maintenance,
    after a crash, and when it fails over, mostly within 60 s.
    https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/Concepts.AuroraHighAvailability.html

    Attributes:
        after: seconds from the connection to the stop.
        away: seconds from the stop to the start.
        crashed: whether the server ends at once, and recovers from its log when it starts.
    """

    after: float = 0.0
    away: float = 1.0
    crashed: bool = False


class DiskFull(Fault, frozen=True, kw_only=True):
    """The temporary files of a function or job find no more space on their disk.

    The kernel refuses what does not fit, with ENOSPC: the process has a small file system of its
    own. A function's `/tmp` has 512 MB unless it asks for more.
    https://docs.aws.amazon.com/lambda/latest/dg/configuration-ephemeral-storage.html

    Attributes:
        process: a part of the function's name, or of the job definition's.
        kib: how much space there is.
    """

    process: str
    kib: int


class EventLate(Fault, frozen=True, kw_only=True):
    """An event of S3 arrives late, behind others that were sent after it.

    EventBridge keeps no order: https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html

    Attributes:
        seconds: how late; not shortened.
    """

    seconds: float


class NoCapacity(Fault, frozen=True, kw_only=True):
    """Batch finds no host for a job: the account has no quota, or the region no such host.

    The job stays RUNNABLE until an action of its queue cancels it.
    https://docs.aws.amazon.com/batch/latest/userguide/job_stuck_in_runnable_capacity.html

    Attributes:
        reason: what Batch calls it.
    """

    reason: str = "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY"


class SpotReclaimed(Fault, frozen=True, kw_only=True):
    """The Spot host of a job is taken away while the job runs.

    The container gets SIGTERM. What ends first, it or the host, is what Batch reports: an exit code
    of 143, or a host that terminated.
    https://docs.aws.amazon.com/batch/latest/userguide/bestpractices.html,
    https://github.com/nextflow-io/nextflow/issues/4096

    Attributes:
        reported: what ended first.
    """

    reported: Literal["container", "host"]


class ImageNotPulled(Fault, frozen=True, kw_only=True):
    """A host cannot pull the job's image: the registry or the network fails, or takes too long.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task_cannot_pull_image.html
    """


class DockerTimeout(Fault, frozen=True, kw_only=True):
    """The Docker of a busy host does not create the job's container in time.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-error-codes.html,
    https://github.com/nextflow-io/nextflow/issues/5099
    """


class JobOutOfMemory(Fault, frozen=True, kw_only=True):
    """A job needs more memory than its container has, and is killed.

    https://docs.aws.amazon.com/batch/latest/userguide/troubleshooting.html
    """


class RequestExpired(Fault, frozen=True, kw_only=True):
    """An asynchronous request waits in the endpoint's queue until its time is over.

    It counts as `ExpiredRequests`. AWS does not document whether the error topic is told.
    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpointAsync.html,
    https://docs.aws.amazon.com/sagemaker/latest/dg/async-inference-monitor.html

    Attributes:
        told: whether the error topic is told.
    """

    told: bool


class TimeLapse(Fault, frozen=True, kw_only=True):
    """Let hours of waiting pass in seconds, time limits of states included.

    It is no fault of AWS; it shows what faults come to after hours.

    Attributes:
        factor: how many times faster AWS's waits and the time limits of states are over.
    """

    factor: float


def _is_object(request: Request, key: str) -> bool:
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
"""Every kind, as it is sent to the local cloud."""
