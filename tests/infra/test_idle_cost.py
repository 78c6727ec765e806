"""Tests of the idle cost: one number, computed from the template, wherever it is stated."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from infra.idle_cost import ALARM_METRIC_PRICE, CHECK_PRICE, SECRET_PRICE, idle_cost
from tests.helpers.documented import PAGES, ROOT, SOURCES

CHECKS_PRICE = 0.02
"""A month of checks of deliveries, every 15 minutes."""
STATED = re.compile(r"\$(\d+\.\d\d) a month")


def test_the_pages_and_the_code_say_what_the_template_costs(dev: Any):
    stated = {
        (path.name, amount)
        for path in (*PAGES, *SOURCES, ROOT / "CHANGELOG.md")
        for amount in STATED.findall(path.read_text())
    }

    assert {name for name, _ in stated} >= {"README.md", "deploying.md"}
    assert {float(amount) for _, amount in stated} == {idle_cost(dev.json)}


def test_each_endpoint_adds_its_alarms(synthesize: Callable[..., Any]):
    without = synthesize(endpoints="").json

    alarms_and_secret = SECRET_PRICE + 3 * ALARM_METRIC_PRICE
    assert idle_cost(without) == pytest.approx(alarms_and_secret + 2 * CHECKS_PRICE)


def test_a_schedule_is_paid_for_by_its_calls():
    rule = {"Type": "AWS::Events::Rule", "Properties": {"ScheduleExpression": "rate(15 minutes)"}}
    pattern = {"Type": "AWS::Events::Rule", "Properties": {"EventPattern": {}}}

    assert idle_cost({"Resources": {"r": rule, "p": pattern}}) == CHECKS_PRICE
    assert pytest.approx(CHECKS_PRICE, abs=0.005) == 2920 * CHECK_PRICE


def test_an_alarm_is_paid_for_by_the_metrics_that_it_watches():
    metrics = [{"Id": "a", "MetricStat": {}}, {"Id": "b", "MetricStat": {}}, {"Expression": "a/b"}]
    alarms = [
        {"Type": "AWS::CloudWatch::Alarm", "Properties": {"MetricName": "Errors"}},
        {"Type": "AWS::CloudWatch::Alarm", "Properties": {"Metrics": metrics}},
    ]

    assert idle_cost({"Resources": dict(enumerate(alarms))}) == pytest.approx(
        3 * ALARM_METRIC_PRICE
    )
    assert idle_cost({"Resources": {"s": {"Type": "AWS::SecretsManager::Secret"}}}) == SECRET_PRICE
