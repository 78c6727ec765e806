import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from swath.messages.failure_cause import (
    MAX_CAUSE_CHARACTERS,
    format_cause,
    job_error_name,
    parse_cause,
    to_storable,
)
from tests.helpers.fuzzing import draws


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
                "the function was killed, most likely because it ran out of memory "
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
            "the function exceeded its timeout (Task timed out after 900.00 seconds)",
        ),
        (
            (
                "The cause could not be determined because Lambda did not return an error type. "
                'Returned payload: {"errorMessage":"2026-11-28T12:00:00.000Z 1f-0a Task timed out '
                'after 3.00 seconds"}'
            ),
            (
                "the function exceeded its timeout "
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
    assert format_cause(cause) == line or (line == "…" and format_cause(cause).endswith(line))


def test_a_long_cause_is_cut():
    line = format_cause("a " * MAX_CAUSE_CHARACTERS)
    assert len(line) == MAX_CAUSE_CHARACTERS
    assert line.endswith("…")


NAMES = ["errorMessage", "errorType", "JobId", "jobName", "StatusReason", "Container", "reason",
         "exitCode", "LogStreamName", "arrayProperties", "x"]  # fmt: skip
words = st.text(st.characters(codec=None), max_size=20) | st.sampled_from(["\0", "\ud800", " \n"])
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | words,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(NAMES) | words, inner, max_size=4)
    ),
    max_leaves=12,
)
causes = (
    words
    | values.map(json.dumps)
    | st.builds(lambda value, end: json.dumps(value)[:end], values, st.integers(0, 60))
    | st.sampled_from(
        [
            "[" * 100_000,
            '{"a":' * 100_000,
            f'{{"errorMessage": {"9" * 5000}}}',
            'Returned payload: {"JobId": ' + "[" * 9_000,
        ]
    )
)


@pytest.mark.fuzz
@settings(max_examples=draws(100, fuzz=5000))
@example(cause='{"JobId": 1, "Container": "x", "arrayProperties": []}', status="FAILED")
@example(cause='{"errorMessage": ' + "9" * 5000 + "}", status="FAILED")
@example(cause='{"a":' * 100_000, status="FAILED")
@example(cause=" \0\ud800\u2028\n", status="FAILED")
@example(cause=" \u2028\n", status="FAILED")
@given(cause=st.none() | causes, status=st.sampled_from(["", "FAILED", "TIMED_OUT"]))
def test_any_cause_is_one_line_that_can_be_stored(cause, status):
    line = format_cause(cause, status=status)

    assert 0 < len(line) <= MAX_CAUSE_CHARACTERS
    assert line == " ".join(line.split())
    assert to_storable(line) == line
    assert isinstance(job_error_name(parse_cause(cause or "")), str)
