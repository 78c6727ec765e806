import psycopg
import pytest
from botocore.exceptions import ClientError
from psycopg import sql

from swath.database import patience
from swath.database.connect import connect_dsn
from swath.database.migrate import migrate
from swath.database.prepare import prepare_database, statements
from swath.errors import SettingsError, TransientError
from swath.settings import PrepareDatabaseSettings

SETTINGS = PrepareDatabaseSettings(cluster_arn="arn:cluster", master_secret_arn="arn:secret")


class DataApi:
    """The RDS Data API in front of nothing: remembers statements, fails when told to."""

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
    monkeypatch.setattr(patience.time, "sleep", naps.append)
    return naps


def test_each_statement_goes_to_the_cluster_with_its_secret():
    api = DataApi()
    assert prepare_database(SETTINGS, client=api) == len(api.calls) > 0
    assert [call["sql"] for call in api.calls] == statements("swath", "swath")
    for call in api.calls:
        assert (call["resourceArn"], call["secretArn"]) == ("arn:cluster", "arn:secret")
        assert call["database"] == "swath"


def test_a_database_that_wakes_is_waited_for(naps):
    api = DataApi("DatabaseResumingException", "DatabaseResumingException")
    prepare_database(SETTINGS, client=api)
    assert len(naps) == 2
    assert len(api.calls) == len(statements("swath", "swath"))


def test_a_database_that_does_not_wake_can_be_tried_again(naps):
    api = DataApi(*["DatabaseResumingException"] * 9)
    with pytest.raises(TransientError, match="did not wake"):
        prepare_database(SETTINGS, client=api, patience=0)


def test_a_statement_that_is_refused_is_not_tried_again(naps):
    with pytest.raises(ClientError, match="BadRequestException"):
        prepare_database(SETTINGS, client=DataApi("BadRequestException"))
    assert not naps


@pytest.mark.parametrize("names", [("swath", "s w"), ("Swath", "swath"), ("a;b", "swath")])
def test_names_that_need_quoting_are_refused(names):
    with pytest.raises(SettingsError, match="plain PostgreSQL name"):
        statements(*names)


@pytest.fixture
def role(empty_dsn):
    """The name of a role that is not there yet and will not be afterwards."""
    name = f"role_of_{psycopg.conninfo.conninfo_to_dict(empty_dsn)['dbname']}"
    yield name
    with psycopg.connect(empty_dsn, autocommit=True) as admin:
        for statement in ("DROP OWNED BY {} CASCADE", "DROP ROLE {}"):
            admin.execute(sql.SQL(statement).format(sql.Identifier(name)))


def test_a_prepared_database_can_be_migrated_by_its_user(empty_dsn, role):
    with psycopg.connect(empty_dsn, autocommit=True) as admin:
        for statement in statements(admin.info.dbname, role) * 2:
            admin.execute(statement)
    with connect_dsn(psycopg.conninfo.make_conninfo(empty_dsn, user=role)) as connection:
        assert migrate(connection) == migrate(connection)
        owners = connection.execute(
            "SELECT DISTINCT tableowner::text FROM pg_tables WHERE schemaname = 'swath'"
        )
        assert owners.fetchall() == [(role,)]


@pytest.fixture
def rds_iam(server):
    """The role that RDS has and plain PostgreSQL has not."""
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute("CREATE ROLE rds_iam")
        yield
        admin.execute("DROP ROLE rds_iam")


def test_on_rds_the_user_and_nobody_else_logs_in_by_iam(empty_dsn, role, rds_iam):
    with psycopg.connect(empty_dsn, autocommit=True) as admin:
        for statement in statements(admin.info.dbname, role) * 2:
            admin.execute(statement)
        members = admin.execute(
            "SELECT member::regrole::text FROM pg_auth_members WHERE roleid = 'rds_iam'::regrole"
        )
        assert members.fetchall() == [(role,)]
