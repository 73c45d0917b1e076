"""How long a service is left alone."""

from __future__ import annotations

from enova.core.watch.backoff import Backoff, pause_s


def test_the_pause_doubles_up_to_five_minutes() -> None:
    assert [pause_s(failures) for failures in (0, 1, 2, 3, 7, 10_000)] == [0, 5, 10, 20, 300, 300]


def test_what_failed_waits_and_says_for_how_long_and_why() -> None:
    backoff = Backoff()
    backoff.failed("chat", "a", "no room", 100)
    backoff.failed("chat", "a", "no room", 105)

    assert backoff.waits("chat", "a", 106) == "again in 9 s, after 2 failed: no room"
    assert backoff.waits("chat", "a", 115) == ""


def test_another_spec_of_it_and_another_service_may_be_tried_at_once() -> None:
    backoff = Backoff()
    backoff.failed("chat", "a", "no room", 100)

    assert backoff.waits("chat", "b", 101) == ""
    assert backoff.waits("code", "a", 101) == ""


def test_failures_in_a_row_begin_anew_after_a_success_and_for_another_spec() -> None:
    backoff = Backoff()
    for spec in ("a", "b"):
        backoff.failed("chat", spec, "no", 0)
    assert backoff.waits("chat", "b", 1) == "again in 4 s, after 1 failed: no"

    backoff.over("chat")
    assert backoff.waits("chat", "b", 1) == ""
