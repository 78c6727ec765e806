"""Number the classes of detections."""

from __future__ import annotations

from collections.abc import Iterable

import psycopg

from swath.database.connect import Connection
from swath.errors import SettingsError

# Names that exist are not inserted, since each attempt to insert one would use up a number. The
# order keeps two loads with new names from waiting for each other.
_INSERT = """
INSERT INTO swath.classes (name)
SELECT name FROM unnest(%(names)s::text[]) AS given (name)
WHERE NOT EXISTS (SELECT FROM swath.classes AS c WHERE c.name = given.name)
ORDER BY name COLLATE "C"
ON CONFLICT DO NOTHING
"""
_SELECT = "SELECT name, class FROM swath.classes WHERE name = ANY (%(names)s::text[])"


def number_classes(connection: Connection, names: Iterable[str]) -> dict[str, int]:
    """Return the number of each class; a new class gets the next number.

    Call this function outside a transaction: other loads would wait for the new names until it
    ends.

    Args:
        connection: Connection to the database.
        names: Names of classes.

    Raises:
        SettingsError: The database has no further number.
    """
    values = {"names": sorted(set(names))}
    with connection.transaction():
        found: dict[str, int] = dict(connection.execute(_SELECT, values).fetchall())
    if len(found) == len(values["names"]):
        return found
    try:
        with connection.transaction():
            connection.execute(_INSERT, values)
    except psycopg.errors.SequenceGeneratorLimitExceeded as error:
        new = next(name for name in values["names"] if name not in found)
        raise SettingsError(
            f"the class {new!r} has no number, because swath.classes has numbers for 32,767 names; "
            "delete names that no detection has, or use another database"
        ) from error
    with connection.transaction():
        return dict(connection.execute(_SELECT, values).fetchall())
