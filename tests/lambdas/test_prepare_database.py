import boto3
from moto import mock_aws

from lambdas.prepare_database import handler as module
from swath.settings import PrepareDatabaseSettings


@mock_aws
def test_the_statements_are_sent_to_the_data_api(set_env, context):
    arn = boto3.client("rds").create_db_cluster(
        DBClusterIdentifier="swath",
        Engine="aurora-postgresql",
        MasterUsername="administrator",
        MasterUserPassword="a long enough password",
    )["DBCluster"]["DBClusterArn"]
    set_env(PrepareDatabaseSettings(cluster_arn=arn, master_secret_arn="arn:aws:secret"))
    assert module.handler({}, context) == {"statements": 5}
