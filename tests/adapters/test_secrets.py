"""Secrets are read where a reference points, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from enova.adapters.secrets import read_secret
from enova.core.launch import SecretRef
from enova.errors import ApplyError


def test_a_variable_gives_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENOVA_TEST_TOKEN", " as it is ")

    assert read_secret(SecretRef(env="ENOVA_TEST_TOKEN")) == " as it is "


@pytest.mark.parametrize("value", [None, ""])
def test_a_variable_without_a_value_is_an_error_that_names_it(
    monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    monkeypatch.delenv("ENOVA_TEST_TOKEN", raising=False)
    if value is not None:
        monkeypatch.setenv("ENOVA_TEST_TOKEN", value)

    with pytest.raises(ApplyError, match="environment variable ENOVA_TEST_TOKEN is not set"):
        read_secret(SecretRef(env="ENOVA_TEST_TOKEN"))


@pytest.mark.parametrize("written", ["s3cret", "s3cret\n", "s3cret\r\n"])
def test_a_file_gives_its_text_without_the_line_end(tmp_path: Path, written: str) -> None:
    file = tmp_path / "token"
    file.write_bytes(written.encode())

    assert read_secret(SecretRef(file=str(file))) == "s3cret"


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "cannot be read: No such file or directory"), (b"\n", "is empty"), (b"\xff\xfe", "not a text file")],
)
def test_a_file_without_a_secret_is_an_error_that_names_it(
    tmp_path: Path, content: bytes | None, said: str
) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(ApplyError) as caught:
        read_secret(SecretRef(file=str(file)))

    assert caught.value.message.startswith(f"secret file {file} ")
    assert said in caught.value.message
