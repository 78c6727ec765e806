"""Fixtures of the handlers' tests: Lambda's context, and settings in the environment."""

from dataclasses import dataclass

import psycopg
import pytest

from swath.settings import DatabaseSettings


@dataclass(frozen=True)
class Context:
    """Context of a call, as Lambda passes it to a handler."""

    function_name: str = "function"
    memory_limit_in_mb: int = 1024
    invoked_function_arn: str = "arn:aws:lambda:eu-west-1:123456789012:function:function"
    aws_request_id: str = "52fdfc07-2182-454f-963f-5f0f9a621d72"

    def get_remaining_time_in_millis(self) -> int:
        return 840_000


@pytest.fixture
def context() -> Context:
    return Context()


@pytest.fixture
def set_env(monkeypatch):
    """Sets a deployable's settings, as its construct does."""

    def set_all(settings):
        for name, value in settings.to_env().items():
            monkeypatch.setenv(name, value)

    return set_all


@pytest.fixture
def database_env(dsn, set_env):
    """The environment of a function that opens the test's database."""
    parts = psycopg.conninfo.conninfo_to_dict(dsn)
    set_env(
        DatabaseSettings(
            database_host=parts["host"],
            database_port=int(parts["port"]),
            database_name=parts["dbname"],
            database_user=parts["user"],
            database_sslmode="disable",
        )
    )
