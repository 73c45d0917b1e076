"""The first source and the first script that match a point say how it was measured."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from enova.adapters.facts import model_card
from enova.adapters.measurements.protocols import protocols
from enova.core.accuracy.point import ServingPoint
from enova.core.accuracy.protocol import Protocols, card_as_measured, protocol_of
from enova.core.engine.numbers import Numbers

POINT = ServingPoint(
    name="p",
    file="f.csv",
    line=2,
    source="lab",
    run="night",
    measured_on="2026-04-03",
    model="org/Model-7B",
    gpu="h100-sxm",
    quantisation="fp8",
    vllm=(0, 18),
    tensor_parallel=2,
    pipeline_parallel=1,
    data_parallel=1,
    expert_parallel=False,
    users=8,
    isl=1000,
    osl=100,
    ttft_s=0.1,
    tpot_s=0.01,
)
ANY: dict[str, Any] = {"match": {}, "load": {"prompts_per_user": 2, "range_ratio": 1.0}, "vllm": "0.19"}


def known(*scripts: dict[str, Any], sources: tuple[dict[str, Any], ...] = (ANY,)) -> Protocols:
    return Protocols.model_validate({"checkpoints": [], "sources": sources, "scripts": scripts})


def test_the_first_script_that_matches_counts_and_overrides_its_source() -> None:
    source = ANY | {"engine": {"prefix_caching": False, "max_num_seqs": 1}}
    found = protocol_of(
        POINT,
        known(
            {"match": {"gpu": "b*"}, "engine": {"max_num_seqs": 2}},
            {"match": {"model": "*model*"}, "engine": {"max_num_seqs": 3}},
            {"match": {}, "engine": {"max_num_seqs": 4}},
            sources=(source,),
        ),
    )

    assert found.engine == {"prefix_caching": False, "max_num_seqs": 3}


@pytest.mark.parametrize(
    ("match", "holds"),
    [
        ({"vllm": "<0.19"}, True),
        ({"vllm": ">=0.19"}, False),
        ({"measured": ">=2026-04-03"}, True),
        ({"measured": "<2026-04-03"}, False),
        ({"run": "*day*"}, False),
        ({"source": "lab", "quantisation": "fp8*"}, True),
    ],
)
def test_a_match_may_bound_versions_and_dates(match: dict[str, str], holds: bool) -> None:
    found = protocol_of(POINT, known({"match": match, "engine": {"max_num_seqs": 7}}))

    assert (found.engine == {"max_num_seqs": 7}) is holds


def test_what_is_not_known_of_a_point_keeps_to_no_bound() -> None:
    point = replace(POINT, vllm=None, measured_on="")
    scripts: list[dict[str, Any]] = [
        {"match": {name: bound}} for name in ("vllm", "measured") for bound in ("<9.9", ">=0.1")
    ]

    assert protocol_of(point, known(*(script | {"vllm": "0.7"} for script in scripts))).vllm == (0, 19)


def test_settings_are_worked_out_from_users_and_lengths() -> None:
    settings = {
        "max_num_seqs": "C",
        "max_num_batched_tokens": "2*ISL",
        "max_model_len": "ISL+OSL+20",
        "kv_cache": "fp8",
    }

    assert protocol_of(POINT, known({"match": {}, "engine": settings})).engine == {
        "max_num_seqs": 8,
        "max_num_batched_tokens": 2000,
        "max_model_len": 1120,
        "kv_cache": "fp8",
    }


@pytest.mark.parametrize(("split", "ranks"), [(False, (2, 1)), (True, (1, 2))])
def test_inferencex_rows_that_count_gpus_twice_have_one_kind_of_ranks(split: bool, ranks: tuple[int, int]) -> None:
    point = replace(POINT, source="inferencex", data_parallel=2, expert_parallel=True)

    found = protocol_of(
        point, known({"match": {}, "data_parallel_attention": split, "engine": {"max_num_seqs": "C"}})
    )

    assert (found.tensor_parallel, found.data_parallel) == ranks
    assert found.engine == {"max_num_seqs": 4 if split else 8}


def test_the_load_is_what_the_clients_of_the_source_send() -> None:
    clients = {"prompts_per_user": 3, "range_ratio": 0.5, "distinct_prompts": 4, "settled": True}
    found = protocol_of(POINT, known(sources=(ANY | {"load": clients},)))

    load = found.load(POINT)

    assert (load.users, load.uncounted, len(load.prompt_tokens)) == (8, 8, 24)
    assert 500 <= min(load.prompt_tokens) < max(load.prompt_tokens) <= 1000
    assert set(load.prompts) == {0, 1, 2, 3}


def test_a_rule_with_an_unknown_word_is_refused() -> None:
    with pytest.raises(ValidationError):
        known({"match": {"colour": "red"}})
    with pytest.raises(ValidationError):
        known({"match": {"vllm": "about 3"}})


def test_enovas_own_rules_cover_anything() -> None:
    found = protocol_of(replace(POINT, vllm=None, source="unknown"), protocols())

    assert found.vllm == (0, 19)
    assert found.clients.range_ratio == 1.0


@pytest.mark.parametrize(
    ("model", "quantisation", "attention", "experts"),
    [
        ("meta-llama/Llama-3.1-70B", "fp8", Numbers.FP8, Numbers.FP8),
        ("meta-llama/Llama-3.1-70B", "nvfp4", Numbers.NVFP4, Numbers.NVFP4),
        ("meta-llama/Llama-3.1-70B", "", Numbers.BF16, Numbers.BF16),
        ("openai/gpt-oss-120b", "nvfp4", Numbers.BF16, Numbers.MXFP4),
        ("MiniMaxAI/MiniMax-M2.5", "nvfp4", Numbers.BF16, Numbers.NVFP4),
        ("MiniMaxAI/MiniMax-M2.5", "fp8", Numbers.FP8_BLOCK, Numbers.FP8_BLOCK),
    ],
)
def test_a_tables_word_for_quantisation_says_how_parts_are_stored(
    model: str, quantisation: str, attention: Numbers, experts: Numbers
) -> None:
    point = replace(POINT, model=model, quantisation=quantisation)

    card = card_as_measured(point, model_card(model), protocols().checkpoints)

    assert (card.formats.attention, card.formats.experts) == (attention, experts)
