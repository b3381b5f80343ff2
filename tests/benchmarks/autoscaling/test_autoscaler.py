"""The documented rules of Kubernetes and KEDA, each on both sides of its bound."""

import pytest
import yaml

from benchmarks.autoscaling.autoscaler import Autoscaler, Policy, Rules, changes
from benchmarks.autoscaling.command import ALL
from tests.helpers.server_process import ROOT

FREE = Rules(least=1, most=100, up=(Policy(pods=100, period_s=1),), stabilization_s=0, down=(
    Policy(percent=100, period_s=1),))  # fmt: skip
TARGETS = {"a": 10.0}


def decided(value, *, replicas=10, rules=FREE, now=0.0):
    return Autoscaler(rules, replicas).decide(now, {"a": value}, TARGETS)


@pytest.mark.parametrize(
    ("value", "replicas"),
    [
        (90.0, 10),  # a tenth less
        (89.9, 9),
        (110.0, 10),  # a tenth more
        (110.1, 12),
        (121.0, 13),  # rounded up
        (0.0, 1),
        (5_000.0, 100),
    ],
)
def test_a_metric_asks_for_its_value_by_target_unless_it_is_within_a_tenth(value, replicas):
    assert decided(value) == replicas


def test_of_all_metrics_the_largest_counts():
    scaler = Autoscaler(FREE, 2)
    assert scaler.decide(0.0, {"a": 50.0, "b": 90.0}, {"a": 10.0, "b": 10.0}) == 9


def test_a_metric_that_cannot_be_read_forbids_to_go_down_and_not_to_go_up():
    rules = Rules(least=1, most=100, up=FREE.up, down=FREE.down, stabilization_s=0, fallback=0)
    targets = {"a": 10.0, "b": 10.0}
    assert Autoscaler(rules, 5).decide(0.0, {"a": 10.0, "b": None}, targets) == 5
    assert Autoscaler(rules, 5).decide(0.0, {"a": 90.0, "b": None}, targets) == 9


@pytest.mark.parametrize(("failures", "replicas"), [(3, 2), (4, 12)])
def test_a_metric_that_fails_four_times_in_a_row_counts_as_the_fallback(failures, replicas):
    rules = Rules(least=1, most=100, up=FREE.up, fallback=12, failures=4)
    scaler = Autoscaler(rules, 2)
    for at in range(failures):
        scaler.decide(15.0 * at, {"a": None}, TARGETS)
    assert scaler.replicas == replicas


def test_a_metric_that_is_read_again_begins_to_count_anew():
    scaler = Autoscaler(Rules(least=1, most=100, up=FREE.up, fallback=12), 2)
    for at, value in enumerate([None, None, None, 20.0, None, None, None]):
        scaler.decide(15.0 * at, {"a": value}, TARGETS)
    assert scaler.replicas == 2


@pytest.mark.parametrize(("replicas", "after"), [(2, 6), (4, 8), (6, 12)])
def test_up_it_goes_by_the_policy_that_allows_most(replicas, after):
    up = (Policy(percent=100, period_s=30), Policy(pods=4, period_s=30))
    assert decided(1_000.0, replicas=replicas, rules=Rules(least=1, most=50, up=up)) == after


@pytest.mark.parametrize(("later", "after"), [(15.0, 12), (30.0, 24)])
def test_a_policy_counts_what_was_added_within_its_period(later, after):
    rules = Rules(least=1, most=50, up=(Policy(percent=100, period_s=30),))
    scaler = Autoscaler(rules, 6)
    scaler.decide(0.0, {"a": 1_000.0}, TARGETS)
    assert scaler.decide(later, {"a": 1_000.0}, TARGETS) == after


@pytest.mark.parametrize(("later", "after"), [(1_800.0, 8), (1_800.1, 6)])
def test_down_it_goes_only_once_the_largest_recommendation_is_out_of_its_window(later, after):
    scaler = Autoscaler(Rules(least=1, most=50), 8)
    scaler.decide(0.0, {"a": 80.0}, TARGETS)
    assert scaler.decide(later, {"a": 10.0}, TARGETS) == after


def test_to_zero_it_goes_after_the_cooldown_and_comes_back_only_by_a_value():
    scaler = Autoscaler(Rules(least=0, stabilization_s=0), 1)
    scaler.decide(0.0, {"a": 1.0}, TARGETS)
    assert scaler.decide(300.0, {"a": 0.0}, TARGETS) == 1
    assert scaler.decide(300.1, {"a": 0.0}, TARGETS) == 0
    assert scaler.decide(400.0, {"a": 0.0}, TARGETS) == 0
    assert scaler.decide(500.0, {"a": 1.0}, TARGETS) >= 1


def test_the_rules_are_those_of_the_chart():
    values = yaml.safe_load((ROOT / "deploy/helm/timbre/values.yaml").read_text("utf-8"))
    scaling, rules = values["scaling"], Rules()
    assert (rules.least, rules.most) == (scaling["min"], scaling["max"])
    assert (rules.fallback, rules.stabilization_s) == (
        scaling["fallback"],
        scaling["stabilization"],
    )
    live = scaling["live"]
    assert {"clips": scaling["clips"]["target"], "live": live["target"], "age": live["age"]} == ALL
    template = (ROOT / "deploy/helm/timbre/templates/scaling.yaml").read_text("utf-8")
    for policy in (*rules.up, *rules.down):
        kind = (
            f"Percent, value: {policy.percent:.0f}"
            if policy.percent
            else f"Pods, value: {policy.pods}"
        )
        assert f"{{type: {kind}, periodSeconds: {policy.period_s}}}" in template
    assert f"failureThreshold: {rules.failures}" in template


def test_changes_are_counted():
    assert changes([1, 1, 2, 1, 1]) == 2
    assert changes([]) == 0
