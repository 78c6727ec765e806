import json

import boto3
import pytest
from botocore.stub import Stubber

from swath.errors import InputError
from swath.sagemaker.jobs import costs
from swath.sagemaker.jobs.costs import MaxCost, hourly_price


def product(*prices, unit="Hrs"):
    dimensions = {
        str(place): {"unit": unit, "pricePerUnit": {"USD": str(price)}}
        for place, price in enumerate(prices)
    }
    return json.dumps({"terms": {"OnDemand": {"term": {"priceDimensions": dimensions}}}})


@pytest.fixture
def price_list(monkeypatch):
    """Yield a stub of AWS's price list, which the local cloud does not have."""
    client = boto3.client("pricing", region_name="us-east-1")
    monkeypatch.setattr(costs.boto3, "client", lambda *_, **__: client)
    with Stubber(client) as stub:
        yield stub
        stub.assert_no_pending_responses()


ASKED = {
    "ServiceCode": "AmazonSageMaker",
    "Filters": [
        {"Type": "TERM_MATCH", "Field": "regionCode", "Value": "eu-west-1"},
        {"Type": "TERM_MATCH", "Field": "instanceName", "Value": "ml.g5.xlarge"},
        {"Type": "TERM_MATCH", "Field": "component", "Value": "Training"},
    ],
}


def test_the_dearest_hour_counts(price_list):
    found = {"PriceList": [product(1.4, unit="Hrs"), product(1.6), product(0.0)]}
    price_list.add_response("get_products", found, ASKED)

    assert hourly_price("ml.g5.xlarge", "eu-west-1") == 1.6


@pytest.mark.parametrize("found", [[], [product(0.1, unit="GB-Mo")]])
def test_an_unknown_instance(price_list, found):
    price_list.add_response("get_products", {"PriceList": found}, ASKED)

    with pytest.raises(InputError, match=r"ml\.g5\.xlarge in eu-west-1 .* --hourly-price"):
        hourly_price("ml.g5.xlarge", "eu-west-1")


def test_a_price_list_that_may_not_be_asked(price_list):
    price_list.add_client_error("get_products", "AccessDeniedException", "not for you")

    with pytest.raises(InputError, match=r"not for you.*--hourly-price"):
        hourly_price("ml.g5.xlarge", "eu-west-1")


def test_the_cost_states_jobs_hours_and_price():
    cost = MaxCost(jobs=20, hours=1.5, hourly_price=1.408)

    assert cost.dollars == pytest.approx(42.24)
    assert str(cost) == ("at most $42.24: 20 job(s) of 1.5 h at most, $1.408 an hour on demand")
