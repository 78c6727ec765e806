from concurrent.futures import ThreadPoolExecutor

import pytest

from swath.database.classes import number_classes
from swath.database.connect import connect_dsn
from swath.errors import SettingsError


def test_a_name_keeps_its_number_and_uses_up_no_other(connection):
    first = number_classes(connection, ["ship", "boat"])
    for _ in range(5):
        assert number_classes(connection, ["ship", "boat", "ship"]) == first
    assert number_classes(connection, ["ship", "tank"]) == {"ship": first["ship"], "tank": 3}
    assert number_classes(connection, []) == {}


@pytest.mark.parametrize("name", ["", " ", "é 'quoted\" \\N", "x" * 5000])
def test_any_text_is_a_name(connection, name):
    assert number_classes(connection, [name]) == {name: 1}
    assert connection.execute("SELECT name FROM swath.classes").fetchone() == (name,)


def test_names_that_come_at_once_get_one_number_each(dsn):
    def one(order):
        with connect_dsn(dsn) as own:
            return number_classes(own, [f"class {i}" for i in order])

    orders = [range(20), reversed(range(20)), range(5, 25), range(10)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(one, orders))
    together = {name: number for numbers in found for name, number in numbers.items()}
    assert len(set(together.values())) == len(together) == 25
    assert all(together[name] == number for numbers in found for name, number in numbers.items())


def test_there_are_as_many_names_as_numbers(connection):
    connection.execute("SELECT setval('swath.classes_class_seq', 32767)")
    connection.commit()
    with pytest.raises(SettingsError, match=r"^the class 'ship' has no number, .* 32,767 names"):
        number_classes(connection, ["ship"])
    assert connection.execute("SELECT count(*) FROM swath.classes").fetchone() == (0,)
