"""What a plan changes for users and for who pays."""

from __future__ import annotations

from typing import Any

import pytest

from enova.core.desired import Desired
from enova.core.forecast import Expected
from enova.core.outlook import Outlook, Total, interruptions_of, rollout_s_of, total_of
from enova.core.plan import Action
from enova.core.reconcile import reconcile
from enova.core.simulate.promises import Promise, Verdict
from enova.core.simulate.results import Metric
from tests.core.forecasts import figure, forecast
from tests.staging import desired, gpus, observed, running

START_S = 100.0


def expected(*verdicts: Verdict) -> tuple[Expected, ...]:
    promise = Promise(Metric.TTFT, "p95", 0.5)
    return tuple(Expected(promise=promise, figure=figure(0.2), verdict=verdict) for verdict in verdicts)


@pytest.mark.parametrize(
    ("verdicts", "keeps"),
    [
        ([], None),
        ([Verdict.KEPT, Verdict.LIKELY], True),
        ([Verdict.KEPT, Verdict.UNLIKELY], False),
        ([Verdict.BROKEN], False),
    ],
)
def test_promises_are_kept_if_each_of_them_is(verdicts: list[Verdict], keeps: bool | None) -> None:
    assert Outlook(service="chat", after=forecast(expected=expected(*verdicts))).keeps is keeps


def test_nothing_is_kept_or_broken_where_nothing_is_forecast() -> None:
    assert Outlook(service="chat").keeps is None


@pytest.mark.parametrize(
    ("forecasts", "total"),
    [
        ([], Total(usd_per_h=0, gpus=0)),
        ([None, forecast()], Total(usd_per_h=5.98, gpus=2)),
        ([forecast(), forecast(usd_per_h=1.0, gpus=4)], Total(usd_per_h=6.98, gpus=6)),
        ([forecast(), forecast(usd_per_h=None)], Total(usd_per_h=None, gpus=4)),
    ],
    ids=["none", "one", "two", "a price that nobody knows"],
)
def test_services_add_up(forecasts: list[Any], total: Total) -> None:
    assert total_of(forecasts) == total


def planned(wanted: Desired, *found: Desired, gpu_count: int = 8) -> tuple[Action, ...]:
    return reconcile([wanted], observed(*running(*found), gpus=gpus(gpu_count))).actions


class TestRollout:
    """How long it takes, and what users notice."""

    def test_new_replicas_start_side_by_side(self) -> None:
        assert rollout_s_of(planned(desired(replicas=4)), START_S) == START_S

    def test_replacements_come_one_after_another_are_watched_and_wait_for_running_requests(self) -> None:
        actions = planned(desired(replicas=2, replica={"args": {"max_num_seqs": 9}}), desired(replicas=2))

        assert rollout_s_of(actions, START_S) == 2 * (START_S + 15 + 30)

    def test_a_new_gateway_alone_starts_no_replica(self) -> None:
        actions = planned(desired(gateway={"port": 9300}), desired())

        assert (len(actions) > 0, rollout_s_of(actions, START_S)) == (True, None)

    def test_without_actions_there_is_nothing_to_wait_for(self) -> None:
        assert rollout_s_of((), START_S) is None

    def test_every_interruption_is_told_once(self) -> None:
        wanted = desired(replicas=2, replica={"args": {"max_num_seqs": 9}, "gpus": 1})
        found = desired(replicas=2, replica={"gpus": 1, "devices": ("GPU-0",)})
        actions = planned(wanted, found, gpu_count=1)

        assert interruptions_of(actions) == tuple(
            dict.fromkeys(action.impact for action in actions if action.impact)
        )
        assert len(interruptions_of(actions)) == len(set(interruptions_of(actions))) > 0
