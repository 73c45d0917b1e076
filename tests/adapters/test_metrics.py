from __future__ import annotations

import pytest

from enova.adapters.metrics import HttpMetrics
from enova.errors import ObserveError


def test_a_server_that_does_not_answer_is_an_observation_that_failed() -> None:
    metrics = HttpMetrics("http://127.0.0.1:9", timeout_s=0.5)

    with pytest.raises(ObserveError, match="could not be read"):
        metrics.read()
    metrics.close()
