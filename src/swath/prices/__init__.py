"""Provide AWS's prices in US dollars, from a dated table with the source of each price.

AWS's price list API needs credentials, which the prediction of a run on a laptop has not. The table
`prices.json` names, for each price, where AWS publishes it and when it was read. A price that was
not read from AWS itself is marked as unverified, with its origin. A price that is not in the table
is unknown; none is derived from that of another region.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import msgspec

TABLE_FILE = "prices.json"


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """Price of one unit of a service in one region."""

    usd: float
    """Price in US dollars."""
    unit: str
    """Unit that the price is for."""
    source: str
    """URL where AWS publishes the price."""
    read_on: str
    """Date on which the price was read, YYYY-MM-DD."""
    verified: bool
    """Whether the price was read from AWS itself: from its pages or its price list."""
    origin: str = ""
    """Copy from which the price was read, unless it was read at the source."""


class _Table(msgspec.Struct, frozen=True):
    """Content of the table's file."""

    read: str
    regions: dict[str, dict[str, Price]]


def table_date() -> str:
    """Return the date on which the table was last compared with its sources, YYYY-MM-DD."""
    return _load().read


def priced_regions() -> list[str]:
    """Return the regions of which the table has prices, sorted."""
    return sorted(_load().regions)


def regional_prices(region: str) -> dict[str, Price]:
    """Return the prices of a region by name; none if the table lacks the region.

    Names with a dot end in an instance type (`ec2_hour.g5.xlarge`) or in the target of a transfer
    (`transfer_gb.eu-west-1`, `transfer_gb.internet`).
    """
    return dict(_load().regions.get(region, {}))


@cache
def _load() -> _Table:
    return msgspec.json.decode(files(__name__).joinpath(TABLE_FILE).read_bytes(), type=_Table)
