"""The local cloud with the project's own stack: one for all tests of a session."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_cloud.cloud import LocalCloud
from tests.integration.pipeline import Pipeline


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let one worker run all tests of the deployed stack: a second cloud would cost more."""
    for item in items:
        if "cloud" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("cloud"))
        elif "own_cloud" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("own_cloud"))


@pytest.fixture(scope="session")
def cloud(assembly: Path) -> Iterator[LocalCloud]:
    """The synthesized template, deployed. Its logs are shown when a test fails."""
    with LocalCloud() as running:
        running.deploy(assembly)
        yield running


@pytest.fixture
def own_cloud() -> Iterator[LocalCloud]:
    """A cloud with nothing in it, for a test that updates or deletes a stack."""
    with LocalCloud() as running:
        yield running


@pytest.fixture(scope="session")
def pipeline(cloud: LocalCloud) -> Pipeline:
    """The deployed stack, as those who use it see it."""
    return Pipeline(cloud)


@pytest.fixture(scope="module")
def failure_queue(pipeline: Pipeline) -> Iterator[str]:
    """A queue that hears what the failure topic says."""
    sqs, sns = pipeline.client("sqs"), pipeline.client("sns")
    url = sqs.create_queue(QueueName="failures")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]
    subscription = sns.subscribe(
        TopicArn=pipeline.outputs["FailureTopicArn"], Protocol="sqs", Endpoint=arn["QueueArn"]
    )
    yield url
    sns.unsubscribe(SubscriptionArn=subscription["SubscriptionArn"])
    sqs.delete_queue(QueueUrl=url)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """SIGINT reaches child processes also when the tests run in a shell's background.

    Such a shell has its jobs ignore it, and whoever starts with a signal ignored goes on ignoring.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
