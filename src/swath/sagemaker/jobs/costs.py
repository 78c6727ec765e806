"""What a job may cost at most: hours, times instances, times the price of an hour."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from swath.errors import InputError

_PRICE_LIST_REGION = "us-east-1"
"""One of the few that have it.
https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/using-price-list-query-api.html"""


TRAINING, PROCESSING = "Training", "Processing"
"""Components of SageMaker, which have prices of their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceiling:
    """The most that jobs can cost: Spot, and jobs that end early, cost less."""

    jobs: int
    hours: float
    """Of one job, at most."""
    hourly: float
    """US dollars an instance, on demand."""

    @property
    def dollars(self) -> float:
        """In all."""
        return self.jobs * self.hours * self.hourly

    def __str__(self) -> str:
        return (
            f"at most ${self.dollars:,.2f}: {self.jobs} job(s) of {self.hours:g} h at most, "
            f"${self.hourly:,.3f} an hour on demand"
        )


def ceiling(
    instance_type: str,
    hours: float,
    region: str,
    *,
    price: float | None,
    component: str,
    jobs: int = 1,
) -> Ceiling:
    """Return what jobs of one kind can cost at most.

    Args:
        instance_type: of the one host that each job has.
        hours: of each job at most.
        region: where they run.
        price: US dollars an hour; None: what AWS's price list says.
        component: `TRAINING` or `PROCESSING`.
        jobs: how many.

    Raises:
        InputError: the price is not known.
    """
    if price is None:
        price = hourly_price(instance_type, region, component)
    return Ceiling(jobs=jobs, hours=hours, hourly=price)


def hourly_price(instance_type: str, region: str, component: str = TRAINING) -> float:
    """Return US dollars for an hour of an instance, on demand, from AWS's price list.

    Raises:
        InputError: the price list does not tell; the price must then be given.
    """
    filters = {"regionCode": region, "instanceName": instance_type, "component": component}
    try:
        pages = (
            boto3.client("pricing", region_name=_PRICE_LIST_REGION)
            .get_paginator("get_products")
            .paginate(
                ServiceCode="AmazonSageMaker",
                Filters=[
                    {"Type": "TERM_MATCH", "Field": field, "Value": value}
                    for field, value in filters.items()
                ],
            )
        )
        prices = [price for page in pages for item in page["PriceList"] for price in _hourly(item)]
    except (BotoCoreError, ClientError) as error:
        raise InputError(_unknown(instance_type, region, str(error))) from None
    if not prices:
        raise InputError(_unknown(instance_type, region, "the price list has no such instance"))
    return max(prices)


def _hourly(item: str) -> list[float]:
    """The prices of an hour in one product of the price list."""
    product: dict[str, Any] = json.loads(item)
    return [
        price
        for term in product.get("terms", {}).get("OnDemand", {}).values()
        for dimension in term["priceDimensions"].values()
        if dimension["unit"].lower() in {"hrs", "hour", "hours"}
        and (price := float(dimension["pricePerUnit"].get("USD", 0))) > 0
    ]


def _unknown(instance_type: str, region: str, reason: str) -> str:
    return (
        f"the price of {instance_type} in {region} is not known ({reason}); give it by "
        "--hourly-price, in US dollars"
    )
