"""A model's own tokenizer counts its tokens, and knows words that are one token each."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest
from tokenizers import Tokenizer as Library
from tokenizers.decoders import ByteLevel as Decoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.processors import TemplateProcessing
from tokenizers.trainers import BpeTrainer

from enova.adapters.tokenizer import Tokenizer, tokenizer_of
from enova.core.workload.prompts import Prompts
from enova.core.workload.request import Request
from enova.core.workload.words import WORDS
from enova.errors import CannotModel


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of models, as .cache/models is."""
    inner = Library(BPE())
    inner.pre_tokenizer = ByteLevel(add_prefix_space=False)
    inner.decoder = Decoder()
    texts = [" ".join(WORDS)] * 50 + [f"{word}\n{word}" for word in WORDS[:80]] * 50
    trainer = BpeTrainer(
        vocab_size=1000, special_tokens=["<s>"], initial_alphabet=ByteLevel.alphabet(), show_progress=False
    )
    inner.train_from_iterator(texts, trainer)
    inner.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    inner.enable_truncation(8)
    inner.enable_padding(length=8)
    folder = tmp_path_factory.mktemp("models")
    (folder / "tiny").mkdir()
    (folder / "bare").mkdir()
    (folder / "wrong").mkdir()
    inner.save(str(folder / "tiny" / "tokenizer.json"))
    (folder / "wrong" / "tokenizer.json").write_text("{}")
    return folder


@pytest.fixture
def tiny(models: Path) -> Tokenizer:
    found = tokenizer_of(str(models / "tiny"))
    assert found is not None
    return found


def test_tokens_are_counted_without_special_ones_cuts_or_padding(tiny: Tokenizer) -> None:
    assert tiny.count(["the", "the of", "", "the " * 19 + "the"]) == [1, 2, 0, 20]
    assert tiny.count([]) == []


def test_words_are_one_token_wherever_they_stand(tiny: Tokenizer) -> None:
    words, between = tiny.words()
    rng = random.Random(0)
    samples = [rng.choices(words, k=rng.randint(1, 300)) for _ in range(200)]

    assert (len(words) >= 40, between) == (True, " ")
    assert all(word.isascii() and word.islower() and word.isalpha() for word in words)
    assert tiny.count([" ".join(sample) for sample in [words, *samples]]) == [len(s) for s in [words, *samples]]
    assert tiny.words(5).words == words[:5]


def test_prompts_of_words_are_as_many_tokens_as_were_asked_for(tiny: Tokenizer) -> None:
    prompts = Prompts(words=tiny.words().words, overhead_tokens=3)
    texts = [prompts.of(Request(number, 0.0, 100 + number, 1, "", 5, 50)) for number in range(50)]

    assert tiny.count([text for text in texts if isinstance(text, str)]) == [97 + number for number in range(50)]


def test_where_a_vocabulary_has_no_words_letters_do(tmp_path: Path) -> None:
    alphabet = sorted(ByteLevel.alphabet())
    inner = Library(BPE({letter: place for place, letter in enumerate(alphabet)}, []))
    inner.pre_tokenizer = ByteLevel(add_prefix_space=False)
    inner.save(str(tmp_path / "tokenizer.json"))
    found = tokenizer_of(str(tmp_path))
    assert found is not None

    words, between = found.words()
    text = Prompts(words=words, between=between).of(Request(0, 0.0, 300, 1))

    assert (len(words), between) == (26, "")
    assert isinstance(text, str)
    assert found.count([text]) == [300]


def test_a_file_will_do_and_a_folder_without_one_has_none(models: Path) -> None:
    assert tokenizer_of(str(models / "tiny" / "tokenizer.json")) is not None
    assert tokenizer_of(str(models / "bare")) is None
    assert tokenizer_of(str(models / "missing" / "folder" / "of it")) is None


def test_a_file_that_is_no_tokenizer_is_said(models: Path) -> None:
    with pytest.raises(CannotModel, match=r"wrong/tokenizer.json is not a tokenizer"):
        tokenizer_of(str(models / "wrong"))


def test_a_model_in_the_cache_is_found_and_none_is_asked_for(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tmp_path / "models--org--tiny"
    (model / "refs").mkdir(parents=True)
    (model / "refs" / "main").write_text("abc")
    snapshot = model / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot / "tokenizer.json").write_bytes((models / "tiny" / "tokenizer.json").read_bytes())
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.file_download.HF_HUB_CACHE", str(tmp_path), raising=False)

    assert tokenizer_of("org/tiny") is not None
    assert tokenizer_of("org/other") is None


def test_without_the_library_there_is_none(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)

    assert tokenizer_of(str(models / "tiny")) is None


def test_common_words_are_short_and_differ() -> None:
    assert 140 <= len(WORDS) == len(set(WORDS))
    assert all(word.isalpha() and word.islower() and len(word) <= 9 for word in WORDS)
