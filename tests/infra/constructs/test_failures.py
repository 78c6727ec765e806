from __future__ import annotations

import random
from typing import Any

import pytest

from benchmarks.retries.policy import Retrier, select_retrier
from infra.check import state_machines


@pytest.fixture
def rule(dev: Any) -> dict[str, Any]:
    return dev.one("AWS::Events::Rule", "RunFailed")


def test_every_way_to_fail_is_noticed_and_only_of_our_executions(rule: dict[str, Any]):
    pattern = rule["EventPattern"]

    assert pattern["detail-type"] == ["Step Functions Execution Status Change"]
    assert pattern["detail"]["status"] == ["FAILED", "TIMED_OUT", "ABORTED"]
    (machine,) = pattern["detail"]["stateMachineArn"]
    assert machine["Ref"].startswith("RunsMachine")


def test_a_failure_goes_to_the_machine_that_records_it(rule: dict[str, Any]):
    (recorder,) = rule["Targets"]

    assert recorder["Arn"]["Ref"].startswith("FailureRecordsMachine")
    assert "InputTransformer" not in recorder
    lost = recorder["DeadLetterConfig"]["Arn"]["Fn::GetAtt"][0]
    assert lost.startswith("UnrecordedFailuresQueue")


@pytest.fixture
def states(dev: Any) -> dict[str, Any]:
    """The states of the machine that records failures."""
    machine = state_machines(dev.json)["swath-record-failure"]
    assert machine["StartAt"] == "FindCause"
    return machine["States"]


@pytest.fixture
def recording(states: dict[str, Any]) -> dict[str, Any]:
    """The last state of the machine that records failures."""
    assert states["RecordFailure"]["End"] is True
    return states["RecordFailure"]


def test_a_failure_is_explained_told_and_recorded_whatever_is_broken(states: dict[str, Any]):
    find, publish = states["FindCause"], states["PublishFailure"]

    assert set(states) == {"FindCause", "PublishFailure", "RecordFailure"}
    assert "ResultPath" not in find, "its answer is the event that the next state gets"
    for state, following in ((find, "PublishFailure"), (publish, "RecordFailure")):
        everything = {"ErrorEquals": ["States.ALL"], "ResultPath": None, "Next": following}
        assert state["Next"] == following
        assert state["Catch"] == [everything], "the event goes on as it came"
        assert state["Retry"]
    assert publish["ResultPath"] is None


def test_a_cause_that_is_not_listed_yet_is_asked_for_again(states: dict[str, Any]):
    retrier = select_retrier(states["FindCause"], "TransientError")

    assert retrier is not None
    assert sum(map(retrier.upper_bound, range(retrier.max_attempts))) >= 60
    assert sum(map(retrier.upper_bound, range(retrier.max_attempts))) < 10 * 60, (
        "the words are waited for"
    )


@pytest.mark.parametrize(
    "error",
    [
        "TransientError",
        "Sandbox.Timedout",
        "Lambda.Unknown",
        "Lambda.ServiceException",
        "Lambda.SdkClientException",
        "Lambda.TooManyRequestsException",
    ],
)
def test_a_failure_is_recorded_though_what_it_needs_is_away_for_hours(
    recording: dict[str, Any], error: str
):
    retrier = select_retrier(recording, error)
    assert retrier is not None
    waits = [
        sum(retrier.delay(number, chance) or 0 for number in range(retrier.max_attempts))
        for chance in map(random.Random, range(200))
    ]

    assert min(waits) > 10 * 3600
    assert retrier.max_delay <= 300, "a database that is back is soon noticed"


def test_errors_that_waiting_cannot_fix_fail_within_minutes(recording: dict[str, Any]):
    last = recording["Retry"][-1]
    assert last["ErrorEquals"] == ["States.TaskFailed"]
    retrier = Retrier.from_entry(last)

    assert sum(map(retrier.upper_bound, range(retrier.max_attempts))) < 10 * 60
    # Redriving starts at the state that failed, which a Catch would not be.
    assert "Catch" not in recording


def test_a_failure_that_is_not_recorded_goes_to_the_dead_letters(dev: Any):
    rule = dev.one("AWS::Events::Rule", "FailureRecordsUnrecorded")
    (queue,) = rule["Targets"]

    assert rule["EventPattern"]["detail"]["status"] == ["FAILED", "TIMED_OUT", "ABORTED"]
    (machine,) = rule["EventPattern"]["detail"]["stateMachineArn"]
    assert machine["Ref"].startswith("FailureRecordsMachine")
    assert queue["Arn"]["Fn::GetAtt"][0].startswith("UnrecordedFailuresQueue")


def test_the_rule_may_start_the_machine_and_the_machine_call_the_function(dev: Any):
    machine = dev.permissions("FailureRecordsMachineRole")
    events = dev.permissions("FailureRecordsMachineEventsRole")

    topic = next(resource for resource in machine if "FailuresTopic" in resource)
    assert machine.pop(topic) == {"sns:Publish"}
    assert machine == {
        "<FindCauseFunction.Arn>": {"lambda:InvokeFunction"},
        "<FindCauseFunction.Arn>:*": {"lambda:InvokeFunction"},
        "<RecordFailureFunction.Arn>": {"lambda:InvokeFunction"},
        "<RecordFailureFunction.Arn>:*": {"lambda:InvokeFunction"},
    }
    assert events == {"<FailureRecordsMachine>": {"states:StartExecution"}}


def test_the_message_names_only_what_every_event_has(states: dict[str, Any]):
    """An execution that was stopped may have neither `error` nor `cause`; both are in `detail`."""
    message = states["PublishFailure"]["Parameters"]["Message"]
    event = {"name": "", "status": "", "executionArn": ""}

    assert message["detail.$"] == "$.detail"
    for name, path in message.items():
        if name.endswith(".$") and path != "$.detail":
            assert path.removeprefix("$.detail.") in event, path


def test_the_cause_is_looked_for_where_runs_are_and_nowhere_else(everything: Any):
    found = {
        action: resource
        for resource, actions in everything.permissions("FindCauseRole").items()
        for action in actions
        if action.startswith("states:")
    }

    assert found == {
        "states:ListMapRuns": "states:execution:swath-runs:*",
        "states:ListExecutions": "states:mapRun:swath-runs/*",
        "states:DescribeExecution": "states:execution:swath-runs/*",
    }


def test_the_topic_takes_tls_only_and_messages_from_rules_and_alarms(dev: Any):
    statements = dev.one("AWS::SNS::TopicPolicy")["PolicyDocument"]["Statement"]
    denied = [s for s in statements if s["Effect"] == "Deny"]
    allowed = {s["Principal"]["Service"] for s in statements if s["Effect"] == "Allow"}

    assert denied[0]["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert allowed == {"events.amazonaws.com", "cloudwatch.amazonaws.com"}


def test_dead_letters_raise_an_alarm(dev: Any):
    alarms = dev.resources("AWS::CloudWatch::Alarm")

    letters = {name[:-8]: alarm for name, alarm in alarms.items() if name[:-8].endswith("Alarm")}
    assert set(letters) == {
        "UnstartedRunsAlarm",
        "UnrecordedFailuresAlarm",
        "FailedCatalogsAlarm",
    }
    for alarm in letters.values():
        assert (alarm["Threshold"], alarm["ComparisonOperator"]) == (0, "GreaterThanThreshold")
        (action,) = alarm["AlarmActions"]
        assert action["Ref"].startswith("FailuresTopic")


def test_nobody_is_mailed_unless_the_settings_name_them(dev: Any, production: Any):
    assert dev.resources("AWS::SNS::Subscription") == {}
    subscription = production.one("AWS::SNS::Subscription")
    assert (subscription["Protocol"], subscription["Endpoint"]) == ("email", "ops@example.org")
