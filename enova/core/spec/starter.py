"""The spec that `enova init` writes: short, commented, valid as it is."""

from __future__ import annotations

import re

from enova.core.spec.check import check
from enova.core.spec.fields import is_folder
from enova.errors import UsageError

_MAX_NAME = 40

_TEXT = """\
# What it means: enova plan FILE. What else can be said: specs/ in Enova's repository, or enova schema for editors.
apiVersion: enova/v1
kind: Service
metadata:
  name: {name}
model:
  id: {model}
{revision}# engine:                         # what is left out is chosen for you
#   tensor_parallel_size: 1
#   max_model_len: 8192
# slo:
#   ttft: {{p95: 500ms}}
#   tpot: {{p99: 50ms}}
# budget: {{cost: 12 USD/h, gpus: 1}}
scaling:
  min: 1
gateway:
  port: 9199                      # http://127.0.0.1:9199/v1
"""

_REVISION = "  # revision: main                # best a commit: what runs is then what was tested\n"


def starter(model: str, *, name: str | None = None) -> str:
    """Return a spec for a model; raise UsageError if the model or the name cannot be one."""
    chosen = name if name is not None else name_for(model)
    _, findings = check({"metadata": {"name": chosen}, "model": model}, resolve=str)
    for finding in findings:
        raise UsageError(
            f"the {'model' if finding.loc[0] == 'model' else 'name'} {finding.message}", hint=finding.hint
        )
    revision = "" if is_folder(model) else _REVISION
    return _TEXT.format(name=_scalar(chosen), model=_scalar(model), revision=revision)


def name_for(model: str) -> str:
    """Return a service name made from a model's: `Qwen/Qwen2.5-7B-Instruct` gives `qwen2-5-7b-instruct`."""
    last = model.rstrip("/").rpartition("/")[2]
    name = re.sub(r"[^a-z0-9]+", "-", last.lower()).strip("-")[:_MAX_NAME].strip("-")
    if not name:
        raise UsageError(f"no service name can be made from {model!r}", hint="give one with --name")
    return name


def _scalar(text: str) -> str:
    """Return text as YAML that reads back as the same text."""
    if re.fullmatch(r"[A-Za-z/~][A-Za-z0-9._/-]*|\.{1,2}/[A-Za-z0-9._/-]*", text) and text.lower() not in _WORDS:
        return text
    return "'" + text.replace("'", "''") + "'"


_WORDS = frozenset({"true", "false", "null", "~"})
