"""Folders and a cache on disk, and a hub that is a real HTTP server."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from enova.adapters.models import find_card
from enova.core.engine.numbers import Numbers
from enova.errors import CannotModel

COMMIT = "0" * 40
NOWHERE = "http://127.0.0.1:9"
CONFIG: Mapping[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "vocab_size": 1000,
    "max_position_embeddings": 2048,
}


def write_model(folder: Path, config: Mapping[str, Any] = CONFIG) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def write_safetensors(path: Path, tensors: Mapping[str, tuple[str, list[int], int]]) -> None:
    """Headers only, which is all that is read. Each tensor: type, shape, bytes."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    place = 0
    for name, (kind, shape, size) in tensors.items():
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [place, place + size]}
        place += size
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text)


@contextmanager
def hub(files: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> Iterator[str]:
    """The few answers of the hub that matter: files of one model, and what it counted."""

    class Answer(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            self.answer(body=True)

        def answer(self, *, body: bool) -> None:
            path = self.path.split("?")[0]
            name = "info" if path.startswith("/api/models/") else path.rsplit("/", 1)[-1]
            found = json.dumps(files[name]).encode() if name in files else b""
            code = status if name in files or status != 200 else 404
            self.send_response(code)
            if code == 404 and status == 200:
                self.send_header("X-Error-Code", "EntryNotFound")
            for key, value in (headers or {}).items():
                self.send_header(key, value)
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("ETag", f'"{name}"')
            self.send_header("Content-Length", str(len(found)))
            self.end_headers()
            if body:
                self.wfile.write(found)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def test_a_folder_is_read_before_anything_else(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "mine")

    card = find_card(str(folder), cache_dir=tmp_path / "cache", endpoint=NOWHERE)

    assert (card.name, card.hidden_size, card.parameters, card.weight_bytes) == (str(folder), 64, None, None)


def test_sizes_come_from_the_headers_of_all_files_without_draft_layers(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "mine")
    write_safetensors(folder / "model-1.safetensors", {"model.layers.0.w": ("BF16", [10, 20], 400)})
    write_safetensors(
        folder / "model-2.safetensors",
        {
            "model.layers.1.w": ("F8_E4M3", [10, 20], 200),
            "model.layers.2.draft": ("BF16", [9], 18),
            "mtp.fc": ("BF16", [9], 18),
            "vision_tower.layers.20.w": ("F32", [5], 20),
        },
    )

    card = find_card(str(folder), offline=True, cache_dir=tmp_path / "cache")

    assert (card.parameters, card.weight_bytes) == (405, 620)


def test_packed_weights_have_bytes_but_no_count(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "mine")
    write_safetensors(folder / "model.safetensors", {"model.layers.0.qweight": ("I32", [8, 8], 256)})

    card = find_card(str(folder), offline=True, cache_dir=tmp_path / "cache")

    assert (card.parameters, card.weight_bytes) == (None, 256)


@pytest.mark.parametrize("content", [b"", b"short", struct.pack("<Q", 1 << 60), struct.pack("<Q", 2) + b"[]"])
def test_files_that_are_not_safetensors_leave_the_sizes_open(tmp_path: Path, content: bytes) -> None:
    folder = write_model(tmp_path / "mine")
    (folder / "model.safetensors").write_bytes(content)

    assert find_card(str(folder), offline=True, cache_dir=tmp_path / "cache").weight_bytes is None


def test_an_index_whose_files_are_not_all_there_leaves_the_sizes_open(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "mine")
    write_safetensors(folder / "model-1.safetensors", {"model.layers.0.w": ("BF16", [10, 20], 400)})
    index = {"weight_map": {"model.layers.0.w": "model-1.safetensors", "lm_head": "model-2.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")

    assert find_card(str(folder), offline=True, cache_dir=tmp_path / "cache").weight_bytes is None


def test_quantisation_beside_the_config_is_read_too(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "mine")
    beside = {"quantization": {"quant_algo": "FP8", "exclude_modules": ["lm_head"]}}
    (folder / "hf_quant_config.json").write_text(json.dumps(beside), encoding="utf-8")

    assert find_card(str(folder), offline=True, cache_dir=tmp_path / "c").formats.mlp is Numbers.FP8


@pytest.mark.parametrize(("text", "fault"), [("{", "is not JSON"), ("[]", "holds no JSON object")])
def test_a_broken_config_is_named(tmp_path: Path, text: str, fault: str) -> None:
    folder = write_model(tmp_path / "mine")
    (folder / "config.json").write_text(text, encoding="utf-8")

    with pytest.raises(CannotModel, match=fault):
        find_card(str(folder))


def test_the_cache_comes_before_facts(tmp_path: Path) -> None:
    repository = tmp_path / "models--Qwen--Qwen3-8B"
    write_model(repository / "snapshots" / COMMIT)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT, encoding="utf-8")

    assert find_card("Qwen/Qwen3-8B", cache_dir=tmp_path, endpoint=NOWHERE).hidden_size == 64


def test_facts_come_before_the_hub(tmp_path: Path) -> None:
    assert find_card("Qwen/Qwen3-8B", cache_dir=tmp_path, endpoint=NOWHERE).hidden_size == 4096


def test_the_hub_is_asked_last_and_its_answer_kept(tmp_path: Path) -> None:
    info = {"id": "org/new", "safetensors": {"parameters": {"BF16": 1000, "F32": 10}, "total": 1010}}
    with hub({"config.json": CONFIG, "info": info}) as endpoint:
        card = find_card("org/new", cache_dir=tmp_path, endpoint=endpoint)

    again = find_card("org/new", offline=True, cache_dir=tmp_path)

    assert (card.hidden_size, card.parameters, card.weight_bytes) == (64, 1010, 2040)
    assert again.hidden_size == 64


def test_quantisation_beside_the_config_is_fetched_from_the_hub(tmp_path: Path) -> None:
    beside = {"quantization": {"quant_algo": "NVFP4", "exclude_modules": []}}
    files = {"config.json": CONFIG, "hf_quant_config.json": beside, "info": {"id": "org/new"}}
    with hub(files) as endpoint:
        card = find_card("org/new", cache_dir=tmp_path, endpoint=endpoint)

    assert (card.formats.mlp, card.weight_bytes) == (Numbers.NVFP4, None)


@pytest.mark.parametrize(
    ("code", "header", "reason"),
    [
        (401, {"X-Error-Code": "RepoNotFound"}, "private and HF_TOKEN is not set"),
        (403, {"X-Error-Code": "GatedRepo"}, "access to it must be asked for"),
        (404, {"X-Error-Code": "RevisionNotFound"}, "no such revision"),
        (500, {}, "status 500"),
    ],
)
def test_a_refusal_is_told_with_all_places_and_without_the_token(
    tmp_path: Path, code: int, header: Mapping[str, str], reason: str
) -> None:
    with hub({}, status=code, headers=header) as endpoint, pytest.raises(CannotModel) as refused:
        find_card("org/new", token="hf_secret", cache_dir=tmp_path, endpoint=endpoint)

    assert reason in refused.value.message
    assert str(tmp_path) in refused.value.message
    assert "hf_secret" not in f"{refused.value.message} {refused.value.hint} {refused.value.__cause__}"


def test_a_hub_that_does_not_answer_is_no_crash(tmp_path: Path) -> None:
    with pytest.raises(CannotModel, match="no answer"):
        find_card("org/new", cache_dir=tmp_path, endpoint=NOWHERE)


def test_a_model_without_a_config_is_said_to_have_none(tmp_path: Path) -> None:
    with hub({"info": {"id": "org/new"}}) as endpoint, pytest.raises(CannotModel, match=r"it has no config\.json"):
        find_card("org/new", cache_dir=tmp_path, endpoint=endpoint)


def test_offline_the_hub_is_not_asked_and_near_names_are_offered(tmp_path: Path) -> None:
    with pytest.raises(CannotModel, match="not asked") as refused:
        find_card("Qwen/Qwen3-8", offline=True, cache_dir=tmp_path)

    assert "Qwen/Qwen3-8B" in (refused.value.hint or "")


def test_a_path_that_is_no_model_is_no_name_for_the_hub(tmp_path: Path) -> None:
    with pytest.raises(CannotModel, match="no name of a model on the hub"):
        find_card(str(tmp_path / "empty"), cache_dir=tmp_path, endpoint=NOWHERE)
