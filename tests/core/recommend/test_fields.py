"""What of a spec may be chosen, and what the user pinned."""

from __future__ import annotations

from typing import Any

import pytest

from enova.core.recommend.fields import CHOOSABLE, filled, pinned, without
from tests.core.recommend.asking import service


@pytest.mark.parametrize(
    ("sections", "fields"),
    [
        ({}, set()),
        ({"engine": {"max_num_seqs": 8}}, {"engine.max_num_seqs"}),
        ({"scaling": {"min": 1}}, {"scaling.min"}),
        ({"scaling": {"min": 1, "max": 2}}, {"scaling.min", "scaling.max"}),
        ({"scaling": {"max": 1}}, {"scaling.max", "replicas"}),
        ({"scaling": {"min": 2, "max": 2}}, {"scaling.min", "scaling.max", "replicas"}),
        ({"gateway": {"policy": "random"}}, {"gateway.policy"}),
        ({"placement": {"gpu_types": ["L4"]}}, set()),
    ],
)
def test_what_was_written_is_pinned_also_where_it_equals_the_default(
    sections: dict[str, Any], fields: set[str]
) -> None:
    written = service(**sections)

    assert {field for field in CHOOSABLE if pinned(written, field)} == fields


def test_choices_fill_what_is_open_and_nothing_else() -> None:
    written = service(engine={"max_num_seqs": 8})

    used = filled(written, {"engine.max_num_seqs": 64, "engine.max_model_len": 4096, "gpu": "l4", "replicas": 3})

    assert (used.engine.max_num_seqs, used.engine.max_model_len, used.scaling) == (8, 4096, written.scaling)


def test_without_a_pin_a_service_is_as_if_it_had_never_been_written() -> None:
    pinned_one = service(engine={"max_num_seqs": 8, "max_model_len": 4096})

    assert without(pinned_one, "engine.max_num_seqs") == service(engine={"max_model_len": 4096})
    assert without(service(scaling={"min": 3}), "scaling.min").scaling.min == 1
