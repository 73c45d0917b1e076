"""What `enova init` writes."""

from __future__ import annotations

import re

import pytest
from ruamel.yaml import YAML

from enova.core.spec.check import check
from enova.core.spec.starter import name_for, starter
from enova.errors import UsageError


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("Qwen/Qwen2.5-7B-Instruct", "qwen2-5-7b-instruct"),
        ("./models/tiny", "tiny"),
        ("../a b/Model: 1/", "model-1"),
        ("~/it's", "it-s"),
        ("a/" + "x" * 90, "x" * 40),
        ("a/123", "123"),
    ],
)
def test_a_starter_is_valid_and_named_after_its_model(model: str, name: str) -> None:
    data = YAML(typ="safe", pure=True).load(starter(model))
    service, findings = check(data, resolve=str)

    assert findings == []
    assert service is not None
    assert (service.name, service.model.id) == (name, model)


def test_every_line_it_suggests_is_right_without_its_comment_sign() -> None:
    suggested = re.sub(r"(?m)^( *)# (?=revision|engine:|  |slo|budget)", r"\1", starter("a/b"))
    service, findings = check(YAML(typ="safe", pure=True).load(suggested), resolve=str)

    assert findings == []
    assert service is not None
    assert (service.model.revision, service.engine.max_model_len, service.budget.gpus) == ("main", 8192, 1)


def test_a_folder_gets_no_revision() -> None:
    assert "revision" not in starter("./models/tiny")


def test_a_name_can_be_given() -> None:
    assert "  name: chat\n" in starter("Qwen/Qwen2.5-7B-Instruct", name="chat")


def test_a_name_that_reads_as_a_number_is_quoted() -> None:
    assert "  name: '123'\n" in starter("a/b", name="123")


@pytest.mark.parametrize(
    ("model", "name", "message"),
    [("tiny", None, "the model must be a hub id"), ("a/b", "No", "the name must be 1 to 40")],
)
def test_what_cannot_be_a_spec_is_refused(model: str, name: str | None, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        starter(model, name=name)


def test_a_model_without_a_letter_has_no_name_of_its_own() -> None:
    with pytest.raises(UsageError, match="no service name"):
        name_for("./___")
