"""Tests of the price table: each price has a source, a date and an origin, and none is invented."""

from datetime import date

import pytest

from swath.prices import priced_regions, regional_prices, table_date

REGIONS = ("us-east-1", "eu-west-1")
NEEDED = {
    *("lambda_gb_second", "lambda_request", "step_functions_transition", "s3_get", "s3_put"),
    *("transfer_gb.internet", "ec2_hour.g5.xlarge", "ec2_hour.g4dn.xlarge"),
    *("sagemaker_hour.ml.g5.xlarge", "sagemaker_hour.ml.g4dn.xlarge"),
    *("cloudwatch_alarm_month", "secret_month"),
}


@pytest.mark.parametrize("region", REGIONS)
def test_a_region_has_the_regional_prices_a_run(region):
    assert regional_prices(region).keys() >= NEEDED


def test_what_has_no_source_is_unknown():
    assert "ec2_hour.g6.xlarge" not in regional_prices("eu-west-1")
    assert "serverless_gb_second" not in regional_prices("eu-west-1")
    assert regional_prices("ap-south-2") == {}


@pytest.mark.parametrize("region", priced_regions())
def test_each_price_says_where_it_is_from(region):
    read = date.fromisoformat(table_date())

    for name, price in regional_prices(region).items():
        assert 0 < price.usd < 10, name
        assert price.source.startswith("https://"), name
        assert date.fromisoformat(price.read_on) <= read, name
        assert price.verified or price.origin, name


def test_a_transfer_costs_something_in_both_directions():
    for region in REGIONS:
        (other,) = set(REGIONS) - {region}
        assert regional_prices(region)[f"transfer_gb.{other}"].usd == 0.02


def test_the_table_cannot_be_changed_by_its_readers():
    regional_prices("us-east-1").clear()

    assert regional_prices("us-east-1")
