"""Replicas that are killed while nobody but the gateway watches over them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from tests.chaos.load import Load
from tests.e2e.command import Enova
from tests.e2e.service import Service

pytestmark = pytest.mark.slow

KILLS = 5
FEW = 2
"""Clients, so that their failures alone open a circuit; more of them open it for each other."""


def test_what_a_killed_replica_had_not_begun_to_answer_is_answered_by_another(
    enova: Enova, load: Callable[..., AbstractContextManager[Load]]
) -> None:
    chat = Service(enova, "chaos-chat")
    spec = chat.spec(replicas=2)
    enova.ok("apply", spec, "--yes")

    with load(chat.url(), workers=FEW) as seen:
        for number in range(KILLS):
            time.sleep(1)
            os.kill(chat.pids()[f"{chat.name}#{number % 2}"], signal.SIGKILL)
            # Meanwhile its circuit lets requests through again, which have to be answered too.
            time.sleep(2)
            enova.ok("apply", spec, "--yes")

    # Streams that had begun are gone with it.
    assert seen.failures == []
    assert seen.answered > 10
