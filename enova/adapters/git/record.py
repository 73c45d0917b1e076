"""What the trees of a checkout were made from, remembered beside them."""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class GitCommit:
    """What a tree was made from. `signed` is None where there is a signature that could not be found good."""

    sha: str
    author: str
    subject: str
    at_s: int
    """When it was committed, in seconds since 1970."""
    signed: bool | None


@dataclass(frozen=True, slots=True)
class Record:
    """What is on disk, beside the trees themselves."""

    address: str
    commit: GitCommit
    previous: str | None

    @classmethod
    def read(cls, path: Path) -> Record:
        """Read it; raises OSError, ValueError, TypeError or KeyError where there is none, or nothing whole."""
        data = json.loads(path.read_text(encoding="utf-8"))
        return cls(data["address"], GitCommit(**data["commit"]), data["previous"])

    def write(self, path: Path) -> None:
        """Write it at once or not at all; by one process at a time."""
        new = path.with_name(f"{path.name}.new")
        with new.open("w", encoding="utf-8") as file:
            json.dump(dataclasses.asdict(self), file)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
