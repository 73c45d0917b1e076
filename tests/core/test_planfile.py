"""A plan as JSON, there and back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, ClassVar

import pytest

from enova.core.launches import desired_state
from enova.core.lockfile import Entry
from enova.core.plan import Plan
from enova.core.planfile import from_json, is_planfile, to_json
from enova.core.reconcile import reconcile
from enova.core.resolve import Resolved, resolve
from enova.core.spec import Service
from enova.errors import PlanRefused
from tests.staging import gpus, observed

RICH: dict[str, Any] = {
    "apiVersion": "enova/v1",
    "kind": "Service",
    "metadata": {"name": "chat", "labels": {"team": "search"}},
    "model": {"id": "org/model", "served_names": ["a", "b"], "token": {"env": "HF_TOKEN"}},
    "engine": {"tensor_parallel_size": 2, "max_num_seqs": 8, "secrets": {"KEY": {"file": "/run/key"}}},
    "slo": {"ttft": {"p95": "500ms"}, "availability": "99.9%"},
    "budget": {"cost": "12 USD/h", "gpus": 4},
    "placement": {"gpu_types": ["H100"]},
    "injection": {"arrival": {"process": "poisson", "rate": "20/s"}},
    "scaling": {"min": 2},
    "gateway": {"port": 9300, "retries": {"max": 3, "max_backoff": "5s"}},
    "rollout": {"drain_timeout": "1m", "probe": {"max_tokens": 8}},
}

SHORT: dict[str, Any] = {"metadata": {"name": "chat"}, "model": "org/model"}


def saved(*written: dict[str, Any], prune: bool = False) -> tuple[tuple[Service, ...], dict[str, Any], str]:
    services = tuple(Service.model_validate_json(json.dumps(spec)) for spec in written)
    plan, resolved = planned(services)
    return services, to_json(plan, resolved, prune=prune, enova_version="1.2.3"), plan.checksum


def planned(services: Sequence[Service]) -> tuple[Plan, list[Resolved]]:
    resolved = [resolve(service) for service in services]
    return reconcile([desired_state(one) for one in resolved], observed(gpus=gpus(8))), resolved


@pytest.mark.parametrize("spec", [RICH, SHORT], ids=["rich", "short"])
@pytest.mark.parametrize("prune", [True, False])
def test_services_prune_and_checksum_survive_the_way_there_and_back(spec: dict[str, Any], prune: bool) -> None:
    services, data, checksum = saved(spec, prune=prune)

    back = from_json(json.dumps(data))

    assert back.services == services
    assert (back.prune, back.checksum) == (prune, checksum)


def test_what_comes_back_gives_the_same_json_again() -> None:
    _, data, _ = saved(RICH)

    back = from_json(json.dumps(data))

    assert to_json(*planned(back.services), prune=False, enova_version="1.2.3") == data


def test_unset_fields_are_not_written_and_secrets_are_references() -> None:
    _, data, _ = saved(RICH)

    (service,) = data["services"]
    assert sorted(service) == sorted(RICH)
    assert service["model"]["token"] == {"env": "HF_TOKEN"}
    assert service["engine"]["secrets"] == {"KEY": {"file": "/run/key"}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"kind": "Plan"}', True),
        (' \n{"a": 1, "kind": "Plan"}', True),
        ('{\n  "kind": "Plan",\n  "services": [', True),
        ('{"kind": "Service", "metadata": {"name": "a"}}', False),
        ("kind: Plan", False),
        ("{name: chat}", False),
        ("[1]", False),
        ("", False),
        ("{" * 100_000, False),
    ],
    ids=["plan", "later key", "cut off", "a spec in JSON", "YAML", "flow YAML", "a list", "empty", "deep"],
)
def test_a_saved_plan_is_told_from_a_spec_by_its_content(text: str, expected: bool) -> None:
    assert is_planfile(text) is expected


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema_version": 2}, "the saved plan has schema_version 2, this Enova reads 1"),
        ({"kind": "Service"}, "this is not a saved plan"),
        ({"services": None}, "the saved plan is damaged: services, prune or checksum is missing"),
        ({"checksum": 7}, "the saved plan is damaged: services, prune or checksum is missing"),
        ({"services": [{"metadata": {"name": "chat"}}]}, "the saved plan is damaged: model: Field required"),
        ({"services": [7]}, "the saved plan is damaged: "),
    ],
    ids=["newer", "other kind", "no services", "no checksum", "no model", "no service"],
)
def test_a_damaged_file_is_refused_with_what_is_wrong(change: dict[str, Any], message: str) -> None:
    _, data, _ = saved(RICH)

    with pytest.raises(PlanRefused) as refused:
        from_json(json.dumps(data | change))

    assert refused.value.message.startswith(message)
    assert refused.value.hint == "make it anew with `enova plan --out FILE`"


def test_text_that_is_not_json_is_refused() -> None:
    with pytest.raises(PlanRefused, match="not whole JSON"):
        from_json('{"kind": "Plan", "serv')


class TestChoices:
    """What was chosen travels with the plan."""

    LOCK: ClassVar = {"chat": Entry(inputs="v1:a", inventory="v1:b", chosen={"gpu": "h100-sxm", "replicas": 2})}

    def test_they_survive_the_way_there_and_back(self) -> None:
        services = (Service.model_validate(SHORT),)
        plan, resolved = planned(services)
        data = to_json(plan, resolved, self.LOCK, prune=False, enova_version="1.2.3")

        assert from_json(json.dumps(data)).lock == self.LOCK

    @pytest.mark.parametrize("chosen", [{}, None, {"lock": 7}, []], ids=str)
    def test_a_plan_without_choices_has_none(self, chosen: object) -> None:
        """As those have that an earlier Enova saved."""
        _, data, _ = saved(SHORT)

        assert from_json(json.dumps(data | {"chosen": chosen})).lock == {}

    def test_damaged_choices_are_refused(self) -> None:
        _, data, _ = saved(SHORT)

        with pytest.raises(PlanRefused) as refused:
            from_json(json.dumps(data | {"chosen": {"lock": "version = 9"}}))

        assert (refused.value.message, refused.value.hint) == (
            "the saved plan is damaged: the saved plan: has version 9, this Enova reads 1",
            "make it anew with `enova plan --out FILE`",
        )
