"""What an installation of Enova holds."""

from __future__ import annotations

from pathlib import Path


def heavy(folder: Path) -> list[str]:
    """Return what an installation has that takes minutes and gigabytes. Enova itself must be in it."""
    packages = {found.name for found in folder.rglob("site-packages/*")}
    assert "enova" in packages
    return sorted(packages & {"torch", "vllm", "triton", "nvidia"})
