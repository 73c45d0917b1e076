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

    The two numbers are measured over predicted, at the quantiles that leave 5 % below and 5 % above. Of tables and
    the roofline `make accuracy-accept` writes them; of calibrations they are those of docs/calibration.md.
    """
    facts = resources.files("enova.facts")
    return ModelError(
        {
            (Origin(origin), metric): Factors(*ends)
            for file in ("model_error.json", "calibration_error.json")
            for origin, metrics in json.loads(facts.joinpath(file).read_text(encoding="utf-8")).items()
            for metric, ends in metrics.items()
        }
    )
