import json

import pytest

from swath.database.cause import LONGEST, readable_cause


@pytest.mark.parametrize(
    ("cause", "line"),
    [
        (None, "no cause was given"),
        ("", "no cause was given"),
        ("The  state\nmachine is gone", "The state machine is gone"),
        ('{"not": "known"}', '{"not": "known"}'),
        ('{"cut off": "in the mid', '{"cut off": "in the mid'),
        (
            json.dumps({"errorMessage": "x.tif: no CRS", "errorType": "SceneError"}),
            "x.tif: no CRS",
        ),
        (json.dumps({"errorType": "Runtime.ExitError"}), "Runtime.ExitError"),
        (
            json.dumps(
                {
                    "JobName": "infer",
                    "JobId": "5e1",
                    "StatusReason": "task exited",
                    "Container": {
                        "Reason": "OutOfMemoryError: killed",
                        "ExitCode": 137,
                        "LogStreamName": "i/1",
                    },
                }
            ),
            "Batch job infer: task exited; OutOfMemoryError: killed; exit code 137; log stream i/1",
        ),
        (
            json.dumps({"jobName": "infer", "jobId": "5e1", "container": {"exitCode": 0}}),
            "Batch job infer: exit code 0",
        ),
        (
            json.dumps(
                {
                    "errorType": "Runtime.ExitError",
                    "errorMessage": "RequestId: 1f-0a Error: Runtime exited with error: "
                    "signal: killed",
                }
            ),
            (
                "the function was killed, most likely since its memory was used up "
                "(Runtime exited with error: signal: killed)"
            ),
        ),
        (
            json.dumps(
                {
                    "errorType": "Runtime.ExitError",
                    "errorMessage": "RequestId: 1f-0a Error: Runtime exited with error: "
                    "exit status 1",
                }
            ),
            "the function's process crashed (Runtime exited with error: exit status 1)",
        ),
        (
            json.dumps(
                {
                    "errorType": "Sandbox.Timedout",
                    "errorMessage": "RequestId: 1f-0a Error: Task timed out after 900.00 seconds",
                }
            ),
            "the function took longer than it may (Task timed out after 900.00 seconds)",
        ),
        (
            (
                "The cause could not be determined because Lambda did not return an error type. "
                'Returned payload: {"errorMessage":"2026-11-28T12:00:00.000Z 1f-0a Task timed out '
                'after 3.00 seconds"}'
            ),
            (
                "the function took longer than it may "
                "(2026-11-28T12:00:00.000Z 1f-0a Task timed out after 3.00 seconds)"
            ),
        ),
        (
            json.dumps(
                {"errorType": "OSError", "errorMessage": "[Errno 28] No space left on device"}
            ),
            "the function's disk is full ([Errno 28] No space left on device)",
        ),
        ('{"a":' * 5000, "…"),
        (json.dumps({"JobId": "5e1"}), "Batch job 5e1: failed without a reason"),
    ],
)
def test_a_cause_reads_as_one_line(cause, line):
    assert readable_cause(cause) == line or (line == "…" and readable_cause(cause).endswith(line))


def test_a_long_cause_is_cut():
    line = readable_cause("a " * LONGEST)
    assert len(line) == LONGEST
    assert line.endswith("…")
