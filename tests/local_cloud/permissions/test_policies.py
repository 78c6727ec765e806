from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_cloud.permissions.policies import Call, is_allowed, matches, parse_statements, trusts

BUCKET = "arn:aws:s3:::bucket"


def policy(*written: dict[str, Any]) -> Any:
    return parse_statements(json.dumps({"Statement": list(written)}))


def allow(action: Any, resource: Any, **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def get(key: str, **context: str) -> Call:
    return Call("role", "s3:GetObject", f"{BUCKET}/{key}", tuple(context.items()))


@pytest.mark.parametrize(
    ("written", "allowed"),
    [
        (allow("s3:GetObject", f"{BUCKET}/runs/*"), True),
        (allow(["s3:PutObject", "s3:GetObject"], [BUCKET, f"{BUCKET}/*"]), True),
        (allow("S3:getobject", "*"), True),
        (allow("s3:Get*", f"{BUCKET}/runs/?/a"), True),
        (allow("s3:GetObject", f"{BUCKET}/other/*"), False),
        (allow("s3:GetObject", BUCKET), False),
        (allow("s3:GetObjectVersion", "*"), False),
        ({"Effect": "Allow", "NotAction": "s3:PutObject", "Resource": "*"}, True),
        ({"Effect": "Allow", "NotAction": "s3:*", "Resource": "*"}, False),
        ({"Effect": "Allow", "Action": "*", "NotResource": f"{BUCKET}/runs/*"}, False),
        ({"Effect": "Allow", "Action": "*", "NotResource": BUCKET}, True),
    ],
)
def test_a_statement_applies_to_the_calls_of_its_elements(written: dict[str, Any], allowed: bool):
    assert is_allowed(get("runs/1/a"), policy(written)) is allowed


def test_a_denial_wins():
    denied = {"Effect": "Deny", "Action": "s3:*", "Resource": f"{BUCKET}/secret/*"}
    both = policy(allow("s3:*", "*"), denied)

    assert is_allowed(get("open"), both)
    assert not is_allowed(get("secret/x"), both)


def test_nothing_is_granted_without_a_statement():
    assert not is_allowed(get("x"), policy())


@pytest.mark.parametrize(
    ("condition", "allowed"),
    [
        ({"StringEquals": {"s:Key": "a"}}, True),
        ({"StringEquals": {"S:key": ["b", "a"]}}, True),
        ({"StringLike": {"s:Key": "?"}}, True),
        ({"StringEquals": {"s:Key": "?"}}, False),
        ({"StringEquals": {"s:Other": "a"}}, False),
        ({"StringLike": {"s:Key": "*"}, "StringEquals": {"s:Key": "b"}}, False),
    ],
)
def test_each_condition_must_hold(condition: dict[str, Any], allowed: bool):
    written = policy(allow("s3:*", "*", Condition=condition))

    assert is_allowed(get("x", **{"s:Key": "a"}), written) is allowed


def test_an_unsupported_condition_operator_is_named():
    written = policy(allow("s3:*", "*", Condition={"IpAddress": {"aws:SourceIp": "::1"}}))

    with pytest.raises(ValueError, match="condition operator IpAddress"):
        is_allowed(get("x"), written)


@given(st.text(), st.text())
def test_only_two_characters_of_a_pattern_are_wild(start: str, end: str):
    plain = start.replace("*", "").replace("?", "")

    assert matches(plain, plain)
    assert matches(f"{plain}*", plain + end)
    assert matches(plain, plain + end) is (end == "")


def test_a_trust_policy_names_services():
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": ["a", "b"]}}
    document = json.dumps({"Statement": trust})

    assert trusts(document, "b")
    assert not trusts(document, "c")
    assert not trusts("{}", "a")
