from __future__ import annotations

from typing import Any


def test_the_cluster_pauses_and_is_reached_by_iam_or_the_data_api(dev: Any):
    cluster = dev.one("AWS::RDS::DBCluster")

    assert cluster["ServerlessV2ScalingConfiguration"] == {
        "MinCapacity": 0,
        "MaxCapacity": 4,
        "SecondsUntilAutoPause": 300,
    }
    assert cluster["EnableIAMDatabaseAuthentication"] is True
    assert cluster["EnableHttpEndpoint"] is True
    assert cluster["StorageEncrypted"] is True
    # From this version on a cluster can pause.
    assert tuple(map(int, cluster["EngineVersion"].split("."))) >= (16, 3)


def test_the_version_is_the_templates(dev: Any):
    assert dev.one("AWS::RDS::DBInstance")["AutoMinorVersionUpgrade"] is False


def test_rds_makes_and_keeps_the_password(dev: Any):
    cluster = dev.one("AWS::RDS::DBCluster")

    assert cluster["ManageMasterUserPassword"] is True
    assert "MasterUserPassword" not in cluster
    dev.template.resource_count_is("AWS::SecretsManager::Secret", 0)


def test_the_database_is_in_isolated_subnets(dev: Any):
    group = dev.one("AWS::RDS::DBSubnetGroup")

    assert all("isolated" in subnet["Ref"] for subnet in group["SubnetIds"])
    assert dev.one("AWS::RDS::DBInstance")["PubliclyAccessible"] is False
    assert dev.one("AWS::RDS::DBInstance")["DBInstanceClass"] == "db.serverless"


def test_backups_are_kept_for_longer_in_production(dev: Any, production: Any):
    assert dev.one("AWS::RDS::DBCluster")["BackupRetentionPeriod"] == 1
    assert production.one("AWS::RDS::DBCluster")["BackupRetentionPeriod"] == 14


def test_a_database_that_never_pauses_has_no_time_to_pause_after(synthesize: Any):
    scaling = synthesize(database_min_acu=1).one("AWS::RDS::DBCluster")

    assert "SecondsUntilAutoPause" not in scaling["ServerlessV2ScalingConfiguration"]
