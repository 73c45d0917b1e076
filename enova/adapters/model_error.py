"""How wrong the model was on measurements it was not fitted to."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources

from enova.core.engine.step_time import Origin
from enova.core.simulate.results import Factors, ModelError


@cache
def measured_error() -> ModelError:
    """Return the error that comes with Enova: from `{origin: {metric or metric.statistic: [low, high]}}`.

    The two numbers are measured over predicted, at the quantiles that leave 5 % below and 5 % above.
    """
    text = resources.files("enova.facts").joinpath("model_error.json").read_text(encoding="utf-8")
    return ModelError(
        {
            (Origin(origin), metric): Factors(*ends)
            for origin, metrics in json.loads(text).items()
            for metric, ends in metrics.items()
        }
    )
