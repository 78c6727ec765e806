from __future__ import annotations

from typing import Any

import pytest

NAMES = ("Scenes", "Work", "Results")


@pytest.mark.parametrize("name", [*NAMES, "Logs"])
def test_a_bucket_is_private_encrypted_and_reached_by_tls_only(dev: Any, name: str):
    bucket = dev.one("AWS::S3::Bucket", f"Storage{name}")
    policy = dev.one("AWS::S3::BucketPolicy", f"Storage{name}Policy")

    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
    assert {
        "Effect": "Deny",
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }.items() <= policy["PolicyDocument"]["Statement"][0].items()


@pytest.mark.parametrize("name", NAMES)
def test_access_is_logged_and_broken_uploads_are_removed(dev: Any, name: str):
    bucket = dev.one("AWS::S3::Bucket", f"Storage{name}")

    assert bucket["LoggingConfiguration"]["LogFilePrefix"] == f"access/{name.lower()}/"
    assert any(
        "AbortIncompleteMultipartUpload" in rule
        for rule in bucket["LifecycleConfiguration"]["Rules"]
    )


def test_what_is_dropped_is_told_to_eventbridge_and_its_versions_are_kept(dev: Any):
    scenes = dev.one("AWS::S3::Bucket", "StorageScenes")

    assert scenes["NotificationConfiguration"] == {
        "EventBridgeConfiguration": {"EventBridgeEnabled": True}
    }
    assert scenes["VersioningConfiguration"] == {"Status": "Enabled"}


def test_only_what_runs_wrote_for_each_other_expires(dev: Any):
    def expiring(name: str) -> list[tuple[str | None, int]]:
        rules = dev.one("AWS::S3::Bucket", f"Storage{name}")["LifecycleConfiguration"]["Rules"]
        return [(r.get("Prefix"), r["ExpirationInDays"]) for r in rules if "ExpirationInDays" in r]

    # The notes below scenes/ and deliveries/notes/, which tell versions apart, stay.
    assert expiring("Work") == [
        ("runs/", 30),
        ("invocations/", 30),
        ("deliveries/due/", 30),
    ]
    assert expiring("Scenes") == []
    assert expiring("Results") == [("stac/entries/", 30)]
