"""Each error that a user can meet is one line with the right exit code."""

import os
import random
from contextlib import contextmanager

import psycopg
import pytest

from tests.errors.faults import all_faults
from tests.errors.files import write_files
from tests.errors.page import PAGE, complaints, is_slow, row, row_start, rows, write_page
from tests.errors.provoke import Forks, may_mount, services
from tests.helpers.fuzzing import FUZZING, draws
from tests.helpers.postgis import new_database

WRITING = os.environ.get("SWATH_WRITE_ERRORS") == "1"
SEED = 11
USER, PASSWORD = "swath_errors", "right"
ALL = all_faults()


@pytest.fixture
def here(tmp_path):
    """The folder that commands run in, with every file that they name."""
    folder = tmp_path / "here"
    folder.mkdir()
    write_files(folder)
    return folder


@pytest.fixture
def databases(server):
    """Databases that refuse a run, each in its own way."""
    with psycopg.connect(server, autocommit=True) as administrator:
        administrator.execute(f"DROP ROLE IF EXISTS {USER}")
        administrator.execute(f"CREATE ROLE {USER} LOGIN PASSWORD '{PASSWORD}'")
        address = psycopg.conninfo.conninfo_to_dict(server)
        with new_database(server) as bare:
            name = psycopg.conninfo.conninfo_to_dict(bare)["dbname"]

            def url(password, database):
                where = f"{address['host']}:{address['port']}"
                return f"postgresql://{USER}:{password}@{where}/{database}"

            yield {
                "no_postgis": url(PASSWORD, name),
                "no_database": url(PASSWORD, "nowhere"),
                "wrong_password": url("wrong", name),
                "port": address["port"],
                "name": name,
            }
        administrator.execute(f"DROP ROLE {USER}")


@contextmanager
def answers(faults, folder, databases):
    """The faults with what swath says of each."""
    with services() as known, Forks() as forks:
        yield ((fault, forks.provoke(fault, folder, known | databases)) for fault in faults)


@pytest.mark.fuzz
def test_each_error_is_one_line(here, databases):
    possible = [fault for fault in ALL if may_mount() or not fault.full_disk]
    count = draws(24, fuzz=len(possible))
    drawn = possible if FUZZING else random.Random(SEED).sample(possible, count)
    with answers(drawn, here, databases) as given:
        found = list(given)
    if WRITING and FUZZING:
        write_page(PAGE, found)
    wrong = {
        (fault.group, fault.wrong, fault.command): (complaints(fault, said), said.lines)
        for fault, said in found
        if complaints(fault, said)
    }
    assert not wrong
    # Times are those of a machine with nothing else to do.
    assert not (FUZZING and [fault for fault, said in found if is_slow(said)])
    assert {row(fault, said) for fault, said in found} <= {*rows(PAGE)}


def test_the_page_has_the_faults_of_the_script():
    starts = [row_start(fault) for fault in ALL]

    assert len(set(starts)) == len(starts)
    assert [row.startswith(start) for row, start in zip(rows(PAGE), starts, strict=True)] == [
        True
    ] * len(starts)
