"""Calculate the maximum cost of jobs: number of jobs, times hours, times the hourly price."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from swath.errors import InputError

_PRICE_LIST_REGION = "us-east-1"
"""One of the few regions that have the price list API.
https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/using-price-list-query-api.html"""


TRAINING, PROCESSING = "Training", "Processing"
"""Components of SageMaker, each with its own prices."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MaxCost:
    """Maximum cost of jobs; Spot jobs, and jobs that end early, cost less."""

    jobs: int
    """Number of jobs, each on one instance."""
    hours: float
    """Maximum duration of one job in hours."""
    hourly_price: float
    """On-demand price of an instance in US dollars per hour."""

    @property
    def dollars(self) -> float:
        """Maximum cost of all jobs in US dollars."""
        return self.jobs * self.hours * self.hourly_price

    def __str__(self) -> str:
        return (
            f"at most ${self.dollars:,.2f}: {self.jobs} job(s) of {self.hours:g} h at most, "
            f"${self.hourly_price:,.3f} an hour on demand"
        )


def calculate_max_cost(
    instance_type: str,
    hours: float,
    region: str,
    *,
    price: float | None,
    component: str,
    jobs: int = 1,
) -> MaxCost:
    """Return the maximum cost of jobs of one kind.

    Args:
        instance_type: Instance type of the single host of each job.
        hours: Maximum duration of each job in hours.
        region: AWS region of the jobs.
        price: Price of an instance in US dollars per hour; None for AWS's price list.
        component: Component of SageMaker, `TRAINING` or `PROCESSING`.
        jobs: Number of jobs.

    Raises:
        InputError: The price is not known.
    """
    if price is None:
        price = hourly_price(instance_type, region, component)
    return MaxCost(jobs=jobs, hours=hours, hourly_price=price)


def hourly_price(instance_type: str, region: str, component: str = TRAINING) -> float:
    """Return the on-demand price of an instance in US dollars per hour, from AWS's price list.

    Args:
        instance_type: Instance type, such as `ml.g5.xlarge`.
        region: AWS region of the instance.
        component: Component of SageMaker, `TRAINING` or `PROCESSING`.

    Raises:
        InputError: The price list cannot be read, or does not have the instance.
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
        prices = [
            price
            for page in pages
            for item in page["PriceList"]
            for price in _parse_hourly_prices(item)
        ]
    except (BotoCoreError, ClientError) as error:
        raise InputError(_unknown_price_message(instance_type, region, str(error))) from None
    if not prices:
        raise InputError(
            _unknown_price_message(instance_type, region, "the price list has no such instance")
        )
    return max(prices)


def _parse_hourly_prices(item: str) -> list[float]:
    """Return the hourly on-demand prices in US dollars of one product of the price list.

    Args:
        item: JSON of the product.
    """
    product: dict[str, Any] = json.loads(item)
    return [
        price
        for term in product.get("terms", {}).get("OnDemand", {}).values()
        for dimension in term["priceDimensions"].values()
        if dimension["unit"].lower() in {"hrs", "hour", "hours"}
        and (price := float(dimension["pricePerUnit"].get("USD", 0))) > 0
    ]


def _unknown_price_message(instance_type: str, region: str, reason: str) -> str:
    return (
        f"the price of {instance_type} in {region} is not known ({reason}); give it with "
        "--hourly-price, in US dollars"
    )
