"""The JSON Schema is current, readable by editors, and agrees with the models."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ruamel.yaml import YAML

from enova.core.spec.check import check
from enova.core.spec.schema import as_text, inventory_schema, schema

ROOT = Path(__file__).parents[3]
SPECS = sorted((ROOT / "specs").glob("*.yaml"))
SCHEMA = schema()
INVENTORY = inventory_schema()
VALIDATOR = jsonschema.Draft7Validator(SCHEMA)
MINIMAL: dict[str, Any] = {"metadata": {"name": "chat"}, "model": "a/b"}


def documents(path: Path) -> list[Any]:
    return list(YAML(typ="safe", pure=True).load_all(path.read_text(encoding="utf-8")))


def properties(part: Any, at: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every key the schema names, wherever it stands."""
    if not isinstance(part, dict):
        return
    for name, value in part.items():
        if name in ("properties", "patternProperties", "definitions"):
            for key, inner in value.items():
                if name == "properties":
                    yield f"{at}.{key}", inner
                yield from properties(inner, f"{at}.{key}")
        elif name in ("allOf", "anyOf", "oneOf"):
            for inner in value:
                yield from properties(inner, at)


def test_the_files_in_schemas_are_current() -> None:
    """Regenerate them with `make schema`."""
    schemas = ROOT / "schemas"

    assert (schemas / "enova.schema.json").read_text(encoding="utf-8") == as_text(SCHEMA)
    assert (schemas / "inventory.schema.json").read_text(encoding="utf-8") == as_text(INVENTORY)


def test_it_is_a_draft_07_schema_with_an_id_and_a_title() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)

    assert SCHEMA["$schema"] == "http://json-schema.org/draft-07/schema#"
    assert (SCHEMA["$id"], SCHEMA["title"]) == ("urn:enova:schemas:service:v1", "Enova service")


def test_it_uses_no_keyword_newer_than_draft_07_and_no_null() -> None:
    text = json.dumps(SCHEMA)

    assert [
        word for word in ("$defs", "prefixItems", "unevaluated", '"null"', "discriminator") if word in text
    ] == []


def test_nothing_stands_beside_a_reference() -> None:
    """Draft-07 ignores what does."""

    def references(part: Any) -> Iterator[dict[str, Any]]:
        if isinstance(part, dict):
            if "$ref" in part:
                yield part
            for inner in part.values():
                yield from references(inner)
        elif isinstance(part, list):
            for inner in part:
                yield from references(inner)

    assert [part for part in references(SCHEMA) if len(part) > 1] == []


def test_every_key_has_a_description_and_examples_that_are_valid() -> None:
    found = dict(properties(SCHEMA))

    assert len(found) > 150
    for path, key in found.items():
        assert key.get("description"), path
        assert key.get("examples"), path
        for example in key["examples"]:
            jsonschema.Draft7Validator({**key, "definitions": SCHEMA["definitions"]}).validate(example)


def test_no_mapping_takes_unknown_keys_unless_its_inside_is_vllms() -> None:
    opened = [path for path, key in properties(SCHEMA) if key.get("additionalProperties") is True]

    assert {path.rpartition(".")[2] for path in opened} == {
        "compilation_config",
        "default_chat_template_kwargs",
        "hf_overrides",
        "kv_transfer_config",
        "limit_mm_per_prompt",
        "mm_processor_kwargs",
        "override_generation_config",
        "speculative_config",
    }


def test_the_schema_of_an_inventory_is_as_complete_and_as_plain() -> None:
    text = json.dumps(INVENTORY)
    found = dict(properties(INVENTORY))

    jsonschema.Draft7Validator.check_schema(INVENTORY)
    assert [word for word in ("$defs", "prefixItems", '"null"') if word in text] == []
    assert [path for path, key in found.items() if not key.get("description") or not key.get("examples")] == []
    for key in found.values():
        for example in key["examples"]:
            jsonschema.Draft7Validator({**key, "definitions": INVENTORY["definitions"]}).validate(example)


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.name)
def test_every_example_is_valid_in_both(path: Path) -> None:
    for document in documents(path):
        VALIDATOR.validate(document)
        _, findings = check(document, resolve=str)

        assert findings == []


def test_check_jsonschema_accepts_every_example_and_refuses_a_broken_one(tmp_path: Path) -> None:
    """It reads one document a file, so files with several are split."""
    files = []
    for path in SPECS:
        for index, document in enumerate(documents(path)):
            files.append(tmp_path / f"{path.stem}-{index}.json")
            files[-1].write_text(json.dumps(document), encoding="utf-8")
    broken = tmp_path / "broken.yaml"
    broken.write_text("metadata: {name: chat}\nmodel: a/b\nengine: {max_num_seq: 4}\n", encoding="utf-8")
    command = [sys.executable, "-m", "check_jsonschema", "--schemafile", str(ROOT / "schemas/enova.schema.json")]

    good = subprocess.run([*command, *files], capture_output=True, text=True, check=False)
    bad = subprocess.run([*command, broken], capture_output=True, text=True, check=False)

    assert good.returncode == 0, good.stdout
    assert bad.returncode == 1
    assert "max_num_seq" in bad.stdout


@pytest.mark.parametrize(
    "broken",
    [
        {"model": None},
        {"engines": {}},
        {"apiVersion": "enova/v2"},
        {"metadata": {"name": "Chat"}},
        {"metadata": {}},
        {"model": "tiny"},
        {"model": {"id": "a/b", "token": "sk-1"}},
        {"model": {"id": "a/b", "token": {"env": "A", "file": "b"}}},
        {"model": {"id": "a/b", "lora": [{"name": "x"}]}},
        {"engine": {"max_num_seqs": 0}},
        {"engine": {"max_num_seqs": "64"}},
        {"engine": {"max_num_seqs": True}},
        {"engine": {"max_model_len": "8k"}},
        {"engine": {"kv_cache_memory_bytes": "64"}},
        {"engine": {"gpu_memory_utilization": 1.1}},
        {"engine": {"dtype": "bf16"}},
        {"engine": {"env": {"1A": "x"}}},
        {"engine": {"env": {"A": True}}},
        {"engine": {"extra_args": {"--a": 1}}},
        {"engine": {"extra_args": {"a": {"b": 1}}}},
        {"engine": {"hf_overrides": []}},
        {"slo": {"ttft": {"p95": 500}}},
        {"slo": {"ttft": {"mean": "1s"}}},
        {"slo": {"availability": "99.9"}},
        {"budget": {"cost": "$12"}},
        {"injection": {"arrival": {"process": "gamma", "rate": "1/s"}}},
        {"injection": {"arrival": {"process": "other", "rate": "1/s"}}},
        {"injection": {"arrival": {"process": "poisson", "rate": 1}}},
        {"injection": {"prompt_tokens": {"distribution": "fixed", "tokens": 0}}},
        {"scaling": {"min": 0}},
        {"gateway": {"port": 0}},
        {"gateway": {"policy": "best"}},
        {"placement": {"devices": []}},
        {"suspend": "yes"},
    ],
    ids=json.dumps,
)
def test_a_broken_spec_is_broken_in_both(broken: dict[str, Any]) -> None:
    data = MINIMAL | broken
    _, findings = check(data, resolve=str)

    assert findings
    assert not VALIDATOR.is_valid(data)
