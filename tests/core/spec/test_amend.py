"""A spec with some keys set to other values."""

from __future__ import annotations

import json
from typing import Any

import pytest

from enova.core.spec import Service
from enova.core.spec.amend import amended
from enova.errors import UsageError

BASE = {
    "metadata": {"name": "chat"},
    "model": "org/model",
    "slo": {"ttft": {"p95": "1s"}},
    "scaling": {"min": 2},
    "injection": {"arrival": {"process": "gamma", "rate": "4/s", "cv": 2.0}},
}


def read(text: str) -> Any:
    """Read a value as JSON where it is that, else as text: enough of YAML for a test."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def changed(*changes: str) -> dict[str, Any]:
    """Return what is written after the changes."""
    service = amended(Service.model_validate(BASE), changes, read)
    return service.model_dump(mode="json", by_alias=True, exclude_unset=True)


def refused(*changes: str) -> str:
    with pytest.raises(UsageError) as caught:
        changed(*changes)
    return caught.value.message


def test_a_key_that_is_there_gets_another_value() -> None:
    assert changed("slo.ttft.p95=300ms")["slo"] == {"ttft": {"p95": "300ms"}}


def test_a_key_of_a_section_that_is_not_there_is_added_with_it() -> None:
    assert changed("budget.gpus=4")["budget"] == {"gpus": 4}


def test_an_empty_value_unsets_a_key() -> None:
    assert changed("scaling.min=")["scaling"] == {}


def test_changes_are_made_in_their_order() -> None:
    assert changed("scaling.min=3", "scaling.min=4")["scaling"] == {"min": 4}


def test_the_rate_of_the_injection_keeps_the_process_that_has_one() -> None:
    arrival = changed("injection.rate=20/s")["injection"]["arrival"]

    assert arrival == {"process": "gamma", "rate": "20/s", "cv": 2.0}


def test_users_of_the_injection_make_it_a_closed_loop() -> None:
    assert changed("injection.users=8")["injection"]["arrival"] == {"process": "closed_loop", "users": 8}


def test_the_service_it_was_made_from_stays_as_it_is() -> None:
    service = Service.model_validate(BASE)

    amended(service, ["slo.ttft.p95=300ms"], read)

    assert service == Service.model_validate(BASE)


def test_what_is_no_change_is_said_of_all_at_once() -> None:
    assert refused("slo", "=3", "metadata.name.x=3") == (
        "--set: slo: is not of the form key.path=value; =3: is not of the form key.path=value; "
        "metadata.name.x=3: name is no section"
    )


def test_values_a_spec_cannot_have_are_named_with_their_keys() -> None:
    message = refused("slo.ttft.p95=fast", "engine.max_num_seqs=0")

    assert "slo.ttft.p95" in message
    assert "engine.max_num_seqs" in message
