"""Logs are read from their end."""

from __future__ import annotations

from pathlib import Path

import pytest

from enova.adapters.processes import tail

LINES = [f"{number:05d} {'x' * (number % 90)}" for number in range(5_000)]
TEXT = "\n".join(LINES)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 1_000, 4_999, 5_000, 6_000])
@pytest.mark.parametrize("ending", ["\n", ""])
def test_the_last_lines_are_those_at_the_end(tmp_path: Path, count: int, ending: str) -> None:
    log = tmp_path / "log"
    log.write_text(TEXT + ending, encoding="utf-8")

    assert list(tail.lines(log, tail=count, more=None)) == LINES[len(LINES) - min(count, len(LINES)) :]


@pytest.mark.parametrize("size", [tail.BLOCK_BYTES - 1, tail.BLOCK_BYTES, tail.BLOCK_BYTES + 1])
def test_a_line_may_end_where_a_block_does(tmp_path: Path, size: int) -> None:
    log = tmp_path / "log"
    log.write_text("first\n" + "y" * size + "\nlast\n", encoding="utf-8")

    assert list(tail.lines(log, tail=2, more=None)) == ["y" * size, "last"]
    assert list(tail.lines(log, tail=None, more=None)) == ["first", "y" * size, "last"]


def test_the_end_of_a_huge_log_is_read_without_the_rest(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("wb") as file:
        file.seek(50 * 2**30)
        file.write(b"\nlast\n")

    assert list(tail.lines(log, tail=1, more=None)) == ["last"]


def test_a_log_that_is_not_there_has_no_lines(tmp_path: Path) -> None:
    assert list(tail.lines(tmp_path / "log", tail=None, more=None)) == []


def test_what_is_not_text_is_shown_as_well_as_it_can_be(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"a\xffb\r\n")

    assert list(tail.lines(log, tail=None, more=None)) == ["a\ufffdb"]


def test_following_puts_lines_together_that_are_written_in_parts(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("whole\nhal", encoding="utf-8")
    parts = iter(["f\nnext", "\n"])

    def more() -> bool:
        part = next(parts, None)
        with log.open("a", encoding="utf-8") as file:
            file.write(part or "")
        return part is not None

    assert list(tail.lines(log, tail=None, more=more)) == ["whole", "half", "next"]
