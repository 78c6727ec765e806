"""Tests of who may connect to our own server: by a token, by a password, or not at all."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import boto3
import psycopg
import pytest

from local_cloud.postgis.server import PostgisServer
from local_cloud.postgis.tokens import Token
from tests.helpers.postgis import Cluster


def token(
    *,
    host: str = "db.example",
    port: int = 5432,
    user: str = "swath",
    session: str | None = "session",
) -> str:
    signer = boto3.Session("key", "right", session, "eu-west-1").client("rds")
    return signer.generate_db_auth_token(DBHostname=host, Port=port, DBUsername=user)


def token_refusal(given: str, *, age: timedelta = timedelta(0)) -> str:
    now = datetime.now(UTC) + age
    try:
        return Token.parse(given).refusal_reason(user="swath", address="db.example:5432", now=now)
    except ValueError as error:
        return str(error)


def test_a_token_for_the_user_and_the_server_is_good():
    assert not token_refusal(token())


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (lambda: "secret", "not an IAM authentication token"),
        (lambda: token(host="other.example"), "is for other.example:5432"),
        (lambda: token(port=1), "is for db.example:1"),
        (lambda: token(user="swath_admin"), "is for the user swath_admin"),
        (lambda: token().replace("rds-db", "s3"), "another service"),
        (lambda: token().replace("X-Amz-Date", "date"), "no date"),
        (
            lambda: token().replace("X-Amz-Signature", "signature"),
            "not an IAM authentication token",
        ),
    ],
)
def test_another_is_refused(given, reason):
    assert reason in token_refusal(given())


def test_a_token_is_good_for_15_minutes():
    good = token()
    assert not token_refusal(good, age=timedelta(minutes=14))
    assert token_refusal(good, age=timedelta(minutes=16)) == "the token has expired"


@pytest.mark.parametrize("session", [None, "a/session+token=="])
def test_only_the_key_that_signed_it_verifies_it(session: str | None):
    signed = Token.parse(token(session=session))
    forged = Token.parse(token(session=session).replace("DBUser=swath", "DBUser=swath_admin"))

    assert (signed.key, signed.session, signed.region) == ("key", session or "", "eu-west-1")
    assert signed.is_signed_with("right")
    assert not signed.is_signed_with("wrong")
    assert not forged.is_signed_with("right")


@pytest.fixture
def by_token(cluster: Cluster) -> Cluster:
    """A cluster whose user logs in by token."""
    user = cluster.settings.database_user
    cluster.administer(f"CREATE ROLE {user} LOGIN PASSWORD 'secret' IN ROLE rds_iam")
    return cluster


def log_in(cluster: Cluster, user: str, password: str, *, sslmode: str = "require") -> None:
    psycopg.connect(
        host=cluster.database.host,
        port=cluster.database.port,
        dbname=cluster.settings.database_name,
        user=user,
        password=password,
        sslmode=sslmode,
    ).close()


def test_a_member_of_rds_iam_logs_in_by_token_over_tls(by_token: Cluster):
    user, database = by_token.settings.database_user, by_token.database
    good = token(host=database.host, port=database.port, user=user)

    log_in(by_token, user, good)
    with pytest.raises(psycopg.OperationalError, match="no encryption"):
        log_in(by_token, user, good, sslmode="disable")


def test_a_member_of_rds_iam_does_not_log_in_by_password(by_token: Cluster):
    with pytest.raises(psycopg.OperationalError, match="authentication failed"):
        log_in(by_token, by_token.settings.database_user, "secret")


def test_another_server_s_token_is_refused(by_token: Cluster):
    user = by_token.settings.database_user
    with pytest.raises(psycopg.OperationalError, match="authentication failed"):
        log_in(by_token, user, token(user=user))


def test_everybody_else_logs_in_by_password_and_not_by_token(cluster: Cluster):
    database = cluster.database
    log_in(cluster, cluster.master, cluster.password)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        log_in(
            cluster,
            cluster.master,
            token(host=database.host, port=database.port, user=cluster.master),
        )


def test_whoever_may_not_connect_is_refused(
    by_token: Cluster, postgis_server: PostgisServer, monkeypatch: pytest.MonkeyPatch
):
    user, database = by_token.settings.database_user, by_token.database
    good = token(host=database.host, port=database.port, user=user)
    asked: list[str] = []
    monkeypatch.setattr(postgis_server, "authorize", lambda it: asked.append(it.key) or "no")

    with pytest.raises(psycopg.OperationalError, match="authentication failed"):
        log_in(by_token, user, good)
    assert set(asked) == {"key"}
