import pytest
from botocore.exceptions import ClientError

from swath.database.bootstrap import preparation_statements, prepare_database
from swath.database.connect import connect
from swath.database.migrate import migrate
from swath.errors import SettingsError, TransientError
from swath.settings import PrepareDatabaseSettings

SETTINGS = PrepareDatabaseSettings(cluster_arn="arn:cluster", master_secret_arn="arn:secret")


class DataApi:
    """A stub of the RDS Data API that records statements and raises the given errors."""

    def __init__(self, *errors):
        self.errors = list(errors)
        self.calls = []

    def execute_statement(self, **parameters):
        if self.errors:
            code = self.errors.pop(0)
            raise ClientError({"Error": {"Code": code, "Message": "…"}}, "ExecuteStatement")
        self.calls.append(parameters)


@pytest.fixture
def naps(monkeypatch):
    naps = []
    monkeypatch.setattr("tenacity.nap.time.sleep", naps.append)
    return naps


def test_each_statement_goes_to_the_cluster_with_its_secret():
    api = DataApi()
    assert prepare_database(SETTINGS, client=api) == len(api.calls) > 0
    assert [call["sql"] for call in api.calls] == preparation_statements("swath", "swath")
    for call in api.calls:
        assert (call["resourceArn"], call["secretArn"]) == ("arn:cluster", "arn:secret")
        assert call["database"] == "swath"


def test_a_database_that_wakes_is_waited_for(naps):
    api = DataApi("DatabaseResumingException", "DatabaseResumingException")
    prepare_database(SETTINGS, client=api)
    assert len(naps) == 2
    assert len(api.calls) == len(preparation_statements("swath", "swath"))


def test_a_database_that_does_not_wake_can_be_tried_again(naps):
    api = DataApi(*["DatabaseResumingException"] * 9)
    with pytest.raises(TransientError, match="did not wake"):
        prepare_database(SETTINGS, client=api, timeout=0)


def test_a_statement_that_is_refused_is_not_tried_again(naps):
    with pytest.raises(ClientError, match="BadRequestException"):
        prepare_database(SETTINGS, client=DataApi("BadRequestException"))
    assert not naps


@pytest.mark.parametrize("names", [("swath", "s w"), ("Swath", "swath"), ("a;b", "swath")])
def test_names_that_need_quoting_are_refused(names):
    with pytest.raises(SettingsError, match="needs quoting in PostgreSQL"):
        preparation_statements(*names)


@pytest.fixture
def prepared(cluster, naps):
    """Return a cluster on which a deployment has prepared the database."""
    prepare_database(cluster.settings, client=cluster)
    return cluster


def test_the_master_user_is_no_superuser(cluster):
    answer = cluster.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
    assert answer == [[{"booleanValue": False}]]


def test_a_database_is_prepared_on_each_deployment(cluster):
    for _ in range(3):
        prepare_database(cluster.settings, client=cluster)
    assert cluster.execute("SELECT 1") == [[{"longValue": 1}]]


def test_its_user_logs_in_by_token_and_migrates_it(prepared):
    with connect(prepared.user_settings) as connection:
        assert connection.info.user == prepared.settings.database_user
        assert migrate(connection) == migrate(connection)
        owners = connection.execute(
            "SELECT DISTINCT tableowner::text FROM pg_tables WHERE schemaname = 'swath'"
        )
        assert owners.fetchall() == [(prepared.settings.database_user,)]


def test_nobody_else_logs_in_by_token(prepared):
    members = prepared.administer(
        "SELECT member::regrole::text FROM pg_auth_members WHERE roleid = 'rds_iam'::regrole"
    )
    assert members == [(prepared.settings.database_user,)]


def test_creating_the_user_leaves_nothing_behind(prepared):
    assert prepared.administer("SELECT FROM pg_roles WHERE rolname = 'swath_creator'") == []
    members = "SELECT FROM pg_auth_members WHERE roleid = %s::regrole"
    assert prepared.administer(members, prepared.settings.database_user) == []


def test_a_master_user_who_became_a_member_gets_the_remedy(cluster):
    # the role exists already; the user is created as usual
    cluster.administer("CREATE ROLE swath_creator")
    try:
        for _ in range(2):
            with pytest.raises(
                SettingsError, match=r"log in only by token.* REVOKE rds_iam FROM user_"
            ):
                prepare_database(cluster.settings, client=cluster)
    finally:
        cluster.administer("DROP ROLE swath_creator")

    cluster.administer(f"REVOKE rds_iam FROM {cluster.settings.database_user}")
    assert cluster.execute("SELECT 1")


def test_what_the_database_refuses_has_its_own_words(cluster):
    cluster.administer(f"REVOKE rds_superuser FROM {cluster.master}")
    with pytest.raises(ClientError, match=r"permission denied to create extension.*42501"):
        prepare_database(cluster.settings, client=cluster)
