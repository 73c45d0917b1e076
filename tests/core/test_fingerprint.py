"""What counts as the same launch, and how a difference is told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from enova.core.fingerprint import changes, fingerprint, fingerprint_of, instance_name, settings
from enova.core.launch import Mount, SecretRef
from tests.staging import gateway, replica


@pytest.mark.parametrize("placement", [{"slot": 3}, {"port": 8001}, {"devices": ("GPU-1",)}, {"metrics_port": 9}])
def test_where_a_replica_sits_does_not_change_its_fingerprint(placement: dict[str, object]) -> None:
    assert fingerprint(replace(replica(), **placement)) == fingerprint(replica())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "setting",
    [
        {"image": "other:1"},
        {"model": "org/other"},
        {"args": {"max_num_seqs": 9}},
        {"env": {"A": "1"}},
        {"secrets": {"HF_TOKEN": SecretRef(env="HF_TOKEN")}},
        {"mounts": (Mount("/a", "/b"),)},
        {"shm_bytes": 1},
        {"gpus": 2},
    ],
)
def test_everything_the_engine_is_started_with_changes_its_fingerprint(setting: dict[str, object]) -> None:
    assert fingerprint(replace(replica(), **setting)) != fingerprint(replica())  # type: ignore[arg-type]


def test_the_address_of_a_gateway_is_a_setting() -> None:
    assert fingerprint(gateway(port=9200)) != fingerprint(gateway())
    assert fingerprint(gateway(host="0.0.0.0")) != fingerprint(gateway())


def test_a_fingerprint_is_stable_across_releases() -> None:
    """Pinned on purpose: if this changes, an upgrade of Enova restarts every model its users serve."""
    assert fingerprint(replica()) == "v1:02a9358902060e13"


def test_the_order_in_which_settings_were_written_does_not_matter() -> None:
    one = replica(args={"a": 1, "b": 2}, env={"X": "1", "Y": "2"})
    other = replica(args={"b": 2, "a": 1}, env={"Y": "2", "X": "1"})

    assert fingerprint(one) == fingerprint(other)


def test_changes_name_each_field_with_both_values() -> None:
    old = settings(replica(args={"max_num_seqs": 8, "seed": 1, "enforce_eager": False}))
    new = settings(replica(args={"max_num_seqs": 16, "dtype": "bfloat16", "enforce_eager": True}))

    assert [str(change) for change in changes(old, new)] == [
        "engine.dtype: (unset) -> bfloat16",
        "engine.enforce_eager: false -> true",
        "engine.max_num_seqs: 8 -> 16",
        "engine.seed: 1 -> (unset)",
    ]


def test_a_secret_is_known_by_where_it_comes_from_only() -> None:
    flat = settings(replica(secrets={"HF_TOKEN": SecretRef(file="/run/secrets/hf")}))

    assert flat["engine.secrets.HF_TOKEN"] == "file /run/secrets/hf"


def test_a_name_tells_service_slot_and_settings() -> None:
    launch = replica(slot=2)

    assert instance_name(launch) == f"enova-chat-2-{fingerprint(launch)[3:11]}"
    assert instance_name(gateway()).startswith("enova-chat-gateway-")


def test_the_fingerprint_is_that_of_the_recorded_settings() -> None:
    assert fingerprint_of(settings(replica())) == fingerprint(replica())
