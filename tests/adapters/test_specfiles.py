# ruff: noqa: E501 - one case a line
"""Spec files to services, or to every problem with its place. Never a traceback, whatever the bytes."""

from __future__ import annotations

from pathlib import Path

import pytest

from enova.adapters.specfiles import load
from enova.adapters.specfiles.nodes import documents
from enova.core.spec import SecretRef, Service
from enova.errors import SpecError

ROOT = Path(__file__).parents[2]
GOOD = "metadata: {name: chat}\nmodel: a/b\n"


def one(text: str | bytes) -> Service:
    (loaded,) = load(["-"], stdin=text)
    return loaded.service


def problems(text: str | bytes) -> list[str]:
    with pytest.raises(SpecError) as caught:
        load(["-"], stdin=text)
    return [str(problem).removeprefix("<stdin>:") for problem in caught.value.problems]


def test_all_examples_load_together() -> None:
    names = {item.service.name for item in load([str(ROOT / "specs")])}

    assert {"minimal", "emulated", "tiny-cpu", "several-chat", "several-code"} <= names


def test_a_folder_is_searched_in_order_without_what_is_hidden(tmp_path: Path) -> None:
    for index, name in enumerate(["b.yaml", "a.yml", "sub/c.yaml", ".hidden/d.yaml", ".e.yaml", "notes.txt"]):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"# {name}\nmetadata: {{name: s{index}}}\nmodel: a/b\ngateway: {{port: {9000 + index}}}\n")

    loaded = load([str(tmp_path)])

    assert [(item.file, item.line) for item in loaded] == [
        (str(tmp_path / name), 2) for name in ("a.yml", "b.yaml", "sub/c.yaml")
    ]


def test_a_file_named_twice_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(GOOD)

    assert len(load([str(tmp_path), str(tmp_path / "a.yaml")])) == 1


def test_a_file_may_hold_several_documents() -> None:
    text = f"{GOOD}---\n# nothing here\n---\nmetadata: {{name: code}}\nmodel: a/b\ngateway: {{port: 1}}\n---\n"

    assert [(item.line, item.service.name) for item in load(["-"], stdin=text)] == [(1, "chat"), (6, "code")]


def test_relative_paths_start_at_the_specs_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "a.yaml").write_text(
        "metadata: {name: chat}\n"
        "model: {id: ../models/tiny, token: {file: ~/token}, cache_dir: cache}\n"
        "injection: {dataset: ./d.jsonl}\n"
    )
    monkeypatch.chdir(tmp_path)

    (loaded,) = load(["specs"])
    model = loaded.service.model

    assert (model.id, model.is_local, model.token) == (
        str(tmp_path / "models/tiny"),
        True,
        SecretRef(file="/home/me/token"),
    )
    assert (model.cache_dir, loaded.service.injection.dataset) == (
        str(tmp_path / "specs/cache"),
        str(tmp_path / "specs/d.jsonl"),
    )


def test_relative_paths_of_stdin_start_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert one("metadata: {name: chat}\nmodel: ./m\n").model.id == str(tmp_path / "m")


def test_every_problem_of_every_file_is_reported_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("metadata: {name: A}\nmodle: a/b\n")
    (tmp_path / "b.yaml").write_text(GOOD)
    (tmp_path / "c.yaml").write_text(
        "metadata:\n  name: chat\nmodel: a/b\nengine:\n  max_num_seqs: 0\n  dtype: x\n"
    )
    (tmp_path / "d.yaml").write_bytes(b"\xff\xfea\x00")

    with pytest.raises(SpecError) as caught:
        load([str(tmp_path), str(tmp_path / "missing.yaml")])

    at = str(tmp_path)
    assert str(caught.value).replace(at, "").split("\n") == [
        "/a.yaml:1:1: model: is required",
        (
            "/a.yaml:1:18: metadata.name: must be 1 to 40 lower-case letters, digits and dashes, with no dash at an end"
            " (hint: for example qwen-chat)"
        ),
        "/a.yaml:2:1: modle: unknown key (hint: did you mean model?)",
        "/c.yaml:5:17: engine.max_num_seqs: must be at least 1",
        "/c.yaml:6:10: engine.dtype: must be one of auto, bfloat16, float, float16, float32, half",
        "/d.yaml:1:1: is UTF-16, not UTF-8 (hint: save it as UTF-8)",
        "/missing.yaml:0:0: cannot be read: No such file or directory (hint: check the path)",
    ]


def test_a_name_used_twice_names_both_places(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(f"# one\n{GOOD}")
    (tmp_path / "b.yaml").write_text(f"{GOOD}gateway: {{port: 1}}\n")

    with pytest.raises(SpecError) as caught:
        load([str(tmp_path)])

    assert str(caught.value).replace(f"{tmp_path}/", "") == (
        "b.yaml:1:18: metadata.name: chat is the name of another service: chat in a.yaml:2"
    )


def test_a_port_used_twice_names_both_places() -> None:
    text = f"{GOOD}---\nmetadata: {{name: code}}\nmodel: a/b\ngateway: {{port: 9199}}\n"

    assert problems(text) == [
        (
            "6:17: gateway.port: port 9199 of 127.0.0.1 is taken by the gateway of another service: chat in <stdin>:1"
            " (hint: set gateway.port to a free port)"
        )
    ]


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="holds no spec file"):
        load([str(tmp_path)])


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n", "---\n", "---\n---\n...\n", "\ufeff", "~"])
def test_a_file_without_a_document_is_an_error(text: str) -> None:
    assert problems(text) == ["1:1: holds no spec (hint: start with: enova init MODEL)"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("metadata:\n\tname: chat\n", "2:1: a tab is used to indent (hint: use spaces)"),
        ("metadata: {name: chat\n", "2:1: is not valid YAML: did not find expected ',' or '}' while parsing a flow mapping"),
        ("a: 'x\n", "2:1: is not valid YAML: found unexpected end of stream while scanning a quoted scalar"),
        ("a: b: c\n", ("1:5: is not valid YAML: mapping values are not allowed in this context"
         " (hint: put text that holds a colon in quotes, or check the indentation)")),
        ("a: @b\n", ("1:4: is not valid YAML: found character that cannot start any token while scanning for the next token"
         " (hint: put it in quotes)")),
        ("- a\n", "1:1: must be a mapping, not a list"),
        ("chat\n", "1:1: must be a mapping, not text"),
        ("12\n", "1:1: must be a mapping, not a whole number"),
        (b"a: \xff\n", "1:4: is not UTF-8: byte 0xff (hint: save it as UTF-8)"),
        ("käse\n".encode("latin-1"), "1:2: is not UTF-8: byte 0xe4 (hint: save it as UTF-8)"),
        (GOOD.encode("utf-16"), "1:1: is UTF-16, not UTF-8 (hint: save it as UTF-8)"),
        (GOOD.encode("utf-32"), "1:1: is UTF-32, not UTF-8 (hint: save it as UTF-8)"),
        (GOOD.encode("utf-16-be"), "1:1: character U+0000 is not allowed (hint: is this a text file?)"),
        (b"a: b\nc: \x00\n", "2:4: character U+0000 is not allowed (hint: is this a text file?)"),
        (b"\x7fELF\x02\x01", "1:1: character U+007F is not allowed (hint: remove it, or write it escaped in double quotes)"),
        ("a: \u2028b\n", "1:4: character U+2028 is not allowed (hint: remove it, or write it escaped in double quotes)"),
        ("[" * 5000, "1:65: is nested more than 64 deep"),
        ("- " * 5000, "1:129: is nested more than 64 deep"),
        ("a: {" * 5000, "1:256: is nested more than 64 deep"),
        ("%YAML 3.0\n---\na: 1\n", "1:1: is not valid YAML: found incompatible YAML document"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_said_at_its_place(text: str | bytes, said: str) -> None:
    assert problems(text) == [said]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("model: a/c\n", "3:1: model: is written twice, first in line 2 (hint: keep one)"),
        ("engine:\n", "3:8: engine: must not be empty (hint: give it a value or remove the key)"),
        ("engine: {seed: null}\n", "3:16: engine.seed: must not be empty (hint: give it a value or remove the key)"),
        ("1: a\n", "3:1: keys must be text (hint: put the key in quotes)"),
        ("? [a]\n: b\n", "3:3: keys must be text (hint: put the key in quotes)"),
        ("budget: !!python/object:os.system {}\n", "3:9: budget: tags are not supported: text that begins with ! needs quotes"),
        ("suspend: !custom true\n", "3:10: suspend: tags are not supported: text that begins with ! needs quotes"),
        ("suspend: no\n", "3:10: suspend: must be true or false, not text (hint: write true or false, without quotes)"),
        ("metadata: 2026-01-01\n", "3:1: metadata: is written twice, first in line 1 (hint: keep one)"),
        ("budget: &a {gpus: *a}\n", "3:19: budget.gpus: this alias stands inside its own anchor"),
        ("budget: *a\n", "3:9: budget: this alias has no anchor before it"),
        ("budget: {<<: 3}\n", "3:10: budget: << takes a mapping or a list of mappings (hint: for example << : *defaults)"),
        ("engine: {seed: " + "9" * 5000 + "}\n", "3:16: engine.seed: is too long for a number"),
        ("engine: {seed: .nan}\n", "3:16: engine.seed: must be a whole number, not a number"),
        ("engine: {seed: 1e400}\n", "3:16: engine.seed: must be a whole number, not a number"),
        ('"a\\nb": 1\n', ("3:1: 'a\\nb': unknown key (hint: known here: apiVersion, kind, metadata, model, engine, slo,"
         " budget, placement, injection, scaling, gateway, rollout, suspend)")),
    ],
)  # fmt: skip
def test_what_yaml_allows_and_a_spec_does_not_is_said_at_its_place(more: str, said: str) -> None:
    assert problems(GOOD + more) == [said]


def test_a_file_too_large_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    path = tmp_path / "large.yaml"
    path.write_bytes(b"a: " + b"x" * 10_000_000)

    with pytest.raises(SpecError, match="1:1: is too large: more than 1 MiB"):
        load([str(path)])


def test_aliases_that_multiply_are_refused() -> None:
    lines = ["x0: &x0 [a, a, a, a, a, a, a, a, a, a]"]
    lines += [f"x{i}: &x{i} [{', '.join([f'*x{i - 1}'] * 10)}]" for i in range(1, 10)]

    assert problems("\n".join(lines)) == ["5:15: holds more than 20000 values (hint: aliases of aliases multiply)"]


def test_reading_ends_after_a_thousand_problems() -> None:
    said = problems("---\na: 1\n" * 10_000)

    assert len(said) < 1100
    assert any(line.endswith("too many problems: the rest is not read") for line in said)


def test_the_merge_key_is_text_where_no_key_can_be() -> None:
    assert one(f"{GOOD}engine: {{env: {{A: <<}}}}\n").engine.env == {"A": "<<"}


def test_anchors_and_merge_keys_work() -> None:
    text = (
        "x-base: &base {max_num_seqs: 4, seed: 1}\n"
        "x-more: &more {seed: 2, dtype: half}\n"
        f"{GOOD}engine: {{<<: [*base, *more], max_num_seqs: 8}}\n"
    )

    assert one(text).engine.args() == {"dtype": "half", "seed": 1, "max_num_seqs": 8}


def test_a_mistake_behind_an_alias_is_shown_where_it_is_written() -> None:
    assert problems(f"x-base: &base {{seed: -1}}\n{GOOD}engine: *base\n") == [
        "1:22: engine.seed: must be at least 0"
    ]


def test_values_are_those_of_yaml_1_2() -> None:
    text = (
        f"{GOOD}engine: {{env: {{A: no, B: on, C: 2026-01-01, D: 0o10, E: 0x10, F: 010, G: '1', H: !!str 1}}}}\n"
    )

    assert one(text).engine.env == {
        "A": "no", "B": "on", "C": "2026-01-01", "D": "8", "E": "16", "F": "10", "G": "1", "H": "1",
    }  # fmt: skip


def test_null_is_allowed_inside_what_is_vllms_affair() -> None:
    assert one(f"{GOOD}engine: {{hf_overrides: {{rope_scaling: null}}}}\n").engine.args() == {
        "hf_overrides": '{"rope_scaling":null}'
    }


def test_windows_line_ends_and_a_byte_order_mark_do_no_harm() -> None:
    text = "\ufeff" + GOOD.replace("\n", "\r\n") + "budget: {gpus: 0}\r\n"

    assert problems(text.encode()) == ["3:16: budget.gpus: must be at least 1"]


def test_problems_before_a_syntax_error_are_reported_too() -> None:
    text = f"{GOOD}suspend: 3\n---\na: [\n"

    assert [line.split(" ")[0] for line in problems(text)] == ["3:10:", "6:1:"]


@pytest.mark.parametrize(
    "text",
    [
        "model: {id: a/b, token: CANARY}", "model: {id: a/b, token: {CANARY}}", "gateway: {api_key: {CANARY: 1, CANARY: 2}}",
        "engine: {secrets: {HF-TOKEN=CANARY}}", "engine: {env: {HF_TOKEN: CANARY}}", "engine: {secrets: {A: !CANARY x}}",
        "engine: {secrets: {A: {env: *CANARY}}}",
    ],
)  # fmt: skip
def test_a_secret_written_into_a_spec_is_not_repeated(text: str) -> None:
    said = "\n".join(problems(f"metadata: {{name: chat}}\n{text}\n"))

    assert "CANARY" not in said


def test_reading_takes_no_recursion_and_little_memory_for_many_documents() -> None:
    assert sum(1 for _ in documents("---\na: 1\n" * 10_000)) == 10_000


def test_the_home_of_nobody_is_a_problem_at_its_place() -> None:
    text = "metadata: {name: a}\nmodel: {id: a/b, cache_dir: '~nobody-of-that-name/x'}\n"

    (problem,) = problems(text)

    assert problem.startswith("2:29: model.cache_dir: names the home folder of a user who is not known here")
