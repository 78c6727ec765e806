"""Tests of database access by token: a role's policy says who may connect, and as which user."""

from __future__ import annotations

import boto3
import pytest

from local_cloud.clients import ACCOUNT, ADMINISTRATOR_CREDENTIALS, REGION
from local_cloud.permissions.access import Session
from local_cloud.permissions.call_log import CALLS_FILE, read_calls
from local_cloud.permissions.database_login import refusal_reason
from local_cloud.postgis.tokens import Token
from local_cloud.services import Services
from tests.local_cloud.canaries.aws import create_role, new_name

CLUSTER = "cluster-A"


@pytest.fixture
def session(services: Services) -> Session:
    """The credentials of a function that may connect to one cluster as `swath`."""
    resource = f"arn:aws:rds-db:{REGION}:{ACCOUNT}:dbuser:{CLUSTER}/swath"
    statement = {"Effect": "Allow", "Action": "rds-db:connect", "Resource": resource}
    role = create_role(services.client("iam"), new_name(), statement)
    return services.access.session(role, "lambda.amazonaws.com")


def signed(key: str, secret: str, session: str | None, *, user: str = "swath") -> Token:
    rds = boto3.Session(key, secret, session, REGION).client("rds")
    return Token.parse(
        rds.generate_db_auth_token(DBHostname="db.example", Port=5432, DBUsername=user)
    )


def login_refusal(services: Services, token: Token, *, cluster: str = CLUSTER) -> str:
    return refusal_reason(services.access, [cluster], token)


def test_whoever_is_granted_it_connects_and_that_is_recorded(
    services: Services, session: Session, tmp_path
):
    assert not login_refusal(services, signed(session.key, session.secret, session.token))
    assert "rds-db:connect" in {call.action for call, _ in read_calls(tmp_path / CALLS_FILE)}


def test_it_is_granted_for_one_user_of_one_cluster(services: Services, session: Session):
    good = signed(session.key, session.secret, session.token)
    other = signed(session.key, session.secret, session.token, user="swath_admin")

    assert "not authorized to perform rds-db:connect as swath" in login_refusal(
        services, good, cluster="cluster-B"
    )
    assert "not authorized to perform rds-db:connect as swath_admin" in login_refusal(
        services, other
    )


def test_a_forged_token_is_refused(services: Services, session: Session):
    assert "not signed with the secret key" in login_refusal(
        services, signed(session.key, "guessed", session.token)
    )


@pytest.mark.parametrize("key", ["nobody", "local-too"])
def test_a_key_that_nobody_issued_is_refused(services: Services, session: Session, key: str):
    assert "is invalid" in login_refusal(services, signed(key, session.secret, session.token))


def test_the_administrator_connects_as_everybody(services: Services):
    key, secret = ADMINISTRATOR_CREDENTIALS
    assert not login_refusal(services, signed(key, secret, None))
    assert "not signed" in login_refusal(services, signed(key, "guessed", None))
