"""A tokenizer at hand counts tokens, and knows words of one token each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer as Inner
from tokenizers import decoders, models, pre_tokenizers, trainers

from enova.adapters.tokenizer import Tokenizer, tokenizer_of
from enova.core.workload.prompts import Prompts
from enova.core.workload.request import Request
from enova.core.workload.words import WORDS
from enova.errors import UsageError


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a byte-level tokenizer on common words, as those of large models are."""
    inner = Inner(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(WORDS, 50)) for _ in range(200)] + list(WORDS) * 20
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    inner.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=900, initial_alphabet=alphabet))
    folder = tmp_path_factory.mktemp("model")
    inner.save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture(scope="module")
def bytes_only(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a tokenizer that knows bytes and no words."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    inner = Inner(models.BPE({letter: place for place, letter in enumerate(alphabet)}, []))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    folder = tmp_path_factory.mktemp("bytes")
    inner.save(str(folder / "tokenizer.json"))
    return folder


def found(place: Path) -> Tokenizer:
    tokenizer = tokenizer_of(str(place))
    assert tokenizer is not None
    return tokenizer


@pytest.mark.parametrize("name", ["trained", "bytes_only"])
def test_prompts_of_its_words_have_exactly_the_length_asked_for(name: str, request: pytest.FixtureRequest) -> None:
    tokenizer = found(request.getfixturevalue(name))
    words, between = tokenizer.words()
    prompts = Prompts(words=words, between=between)
    lengths = np.random.default_rng(1).integers(1, 2000, 60).tolist()

    texts = [str(prompts.of(Request(number, 0.0, length, 1))) for number, length in enumerate(lengths)]

    assert tokenizer.count(texts) == lengths


def test_words_are_joined_by_spaces_where_the_vocabulary_has_words(trained: Path, bytes_only: Path) -> None:
    assert found(trained).words().between == " "
    assert found(bytes_only).words().between == ""


def test_the_file_itself_may_be_named(trained: Path) -> None:
    assert found(trained / "tokenizer.json").count(["the of"]) == [2]


def test_what_is_not_here_is_not_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))

    assert tokenizer_of(str(tmp_path)) is None
    assert tokenizer_of("org/model-that-is-not-in-the-cache") is None
    assert tokenizer_of("no such model!") is None


def test_a_file_that_is_no_tokenizer_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")

    with pytest.raises(UsageError, match="is no tokenizer"):
        tokenizer_of(str(tmp_path))
