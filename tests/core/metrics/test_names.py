from __future__ import annotations

import pytest

from enova.core.engine.snapshot import GROWING, Snapshot
from enova.core.metrics.names import HISTOGRAMS, NAMES, NEVER, Name
from enova.core.metrics.page import look_of
from tests.core.metrics.real import PAGES, RELEASES, older, page_of, real

OF_HTTP = {"answers", "answers_s"}
"""Counted by the server in front of the engine, in every version."""
SINCE_V1 = {"cached_tokens"}


def holds(name: Name, release: str) -> bool:
    minor = ".".join(release.split(".")[: len(name.until.split("."))])
    return not older(release, name.since) and not (name.until and older(name.until, minor))


@pytest.mark.parametrize("release", RELEASES)
def test_every_release_offers_the_names_that_the_table_says_and_no_others_of_it(release: str) -> None:
    page = page_of(release)
    lines = {line.partition("{")[0] for line in page.splitlines()}
    families = {line.split()[2] for line in page.splitlines() if line.startswith("# TYPE")}

    for table, there in ((NAMES, lines), (HISTOGRAMS, families)):
        for name in (one for names in table.values() for one in names):
            assert (name.text in there) == holds(name, release), name


@pytest.mark.parametrize("release", RELEASES)
def test_what_a_release_says_is_found_whatever_it_is_called_there(release: str) -> None:
    look = look_of(page_of(release), 0.0)

    (snapshot,) = look.engines.values()
    lacking = set(snapshot.lacks(*GROWING)) - OF_HTTP
    early = {"steps", "queue_s", "prefill_s", "decode_s"} if older(release, "0.6.6") else set()
    assert lacking == early | (SINCE_V1 if older(release, "0.9") else set())
    assert snapshot.kv_usage == 0.5
    assert (snapshot.finished, snapshot.gaps_s) == (1.0, 0.25)
    assert set(look.histograms) == {"e2e", "itl", "ttft"} | (set() if older(release, "0.11") else {"tpot"})


@pytest.mark.parametrize("page", PAGES)
def test_the_newest_names_are_those_of_a_real_page(page: str) -> None:
    there = {line.partition("{")[0] for line in real(page).splitlines()}

    assert {names[0].text for names in NAMES.values()} <= there
    assert {f"{names[0].text}_bucket" for names in HISTOGRAMS.values()} <= there


def test_names_whose_unit_changed_are_never_read() -> None:
    assert not NEVER.keys() & {one.text for names in (NAMES | HISTOGRAMS).values() for one in names}
    assert all(NEVER.values())


def test_a_snapshot_has_a_name_for_every_field_that_pages_can_fill() -> None:
    assert NAMES.keys() == set(Snapshot.__slots__) - OF_HTTP - {"at_s", "kv_tokens_capacity"}
