"""Read the values that a spec refers to, at the moment they are needed and not before."""

from __future__ import annotations

import os
from pathlib import Path

from enova.core.launch import SecretRef
from enova.errors import ApplyError


def read_secret(ref: SecretRef) -> str:
    """Return the value a reference points to, without a trailing line end. Raises ApplyError if there is none."""
    if ref.env:
        value = os.environ.get(ref.env)
        if not value:
            raise ApplyError(f"environment variable {ref.env} is not set", hint=f"export {ref.env}=…")
        return value
    try:
        value = Path(ref.file or "").read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a text file"
        raise ApplyError(f"secret file {ref.file} cannot be read: {reason}") from error
    if not value:
        raise ApplyError(f"secret file {ref.file} is empty")
    return value
