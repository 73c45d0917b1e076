"""What became of a plan, as text. Failures are tested with `enova apply`."""

from __future__ import annotations

import pytest

from enova.core.launch import Kind
from enova.core.plan import Action, Verb
from enova.render.outcome import endpoint_text, outcome_text
from tests.staging import gateway, replica


@pytest.mark.parametrize(
    ("host", "shown"),
    [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("::1", "[::1]"), ("gpu-1", "gpu-1")],
)
def test_an_endpoint_is_an_address_a_client_here_can_use(host: str, shown: str) -> None:
    assert endpoint_text(gateway(host=host, port=9300), replica()).plain == f"chat: http://{shown}:9300/v1\n"


def test_an_emulated_endpoint_is_called_that() -> None:
    text = endpoint_text(gateway(), replica(kind=Kind.EMULATED))

    assert text.plain == "chat: http://127.0.0.1:9199/v1 (emulated)\n"


def test_what_was_not_begun_is_counted() -> None:
    assert outcome_text(1, [], [], 2, interrupted=True).plain == "Interrupted: 1 done, 2 not begun\n"
    assert outcome_text(3, [], [], 0, interrupted=False).plain == "Applied: 3 done\n"


def test_what_was_stopped_is_unfinished_and_what_failed_has_failed() -> None:
    failed, stopped = (
        Action(verb=Verb.CREATE, target=target, service="chat", cause="not found", wave=0)
        for target in ("chat#0", "chat#1")
    )

    text = outcome_text(
        0, [(failed, "no room", "make some")], [(stopped, "interrupted", None)], 0, interrupted=True
    )

    assert text.plain == (
        "failed: + create chat#0: no room\n"
        "  hint: make some\n"
        "unfinished: + create chat#1: interrupted\n"
        "Interrupted: 0 done, 1 failed, 1 unfinished\n"
    )
