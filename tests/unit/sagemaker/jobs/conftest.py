import botocore.client
import pytest

from swath.stack import Deployment
from tests.helpers.stacks import OUTPUTS, REGION, account


@pytest.fixture
def aws():
    """Simulate an account with the stack's buckets."""
    with account():
        yield


@pytest.fixture
def deployment():
    return Deployment(stack="swath", region=REGION, outputs=dict(OUTPUTS))


@pytest.fixture
def calls(monkeypatch):
    """Return the list of all calls of AWS: (name, arguments)."""
    made = []
    original = botocore.client.BaseClient._make_api_call

    def call(self, name, arguments):
        made.append((name, arguments))
        return original(self, name, arguments)

    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", call)
    return made
