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
        (json.dumps({"JobId": "5e1"}), "Batch job 5e1: failed without a reason"),
    ],
)
def test_a_cause_reads_as_one_line(cause, line):
    assert readable_cause(cause) == line


def test_a_long_cause_is_cut():
    line = readable_cause("a " * LONGEST)
    assert len(line) == LONGEST
    assert line.endswith("…")
