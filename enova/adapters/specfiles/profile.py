"""Reads a traffic profile, and reports every problem with its place."""

from __future__ import annotations

from pathlib import Path

from enova.adapters.specfiles.load import resolve_in
from enova.adapters.specfiles.nodes import Document, documents
from enova.adapters.specfiles.reading import inside, is_blank, problems_of, read_bytes
from enova.adapters.specfiles.text import decode
from enova.core.spec.check import check_as
from enova.core.spec.explain import Finding
from enova.core.spec.profile import Profile
from enova.errors import Problem, SpecError

SECTIONS = ("injection", "slo")


def read_profile(path: Path) -> Profile:
    """Return the traffic in a file; of a spec, its sections on traffic and promises, whatever else is in it.

    Relative paths in it start at its own folder. Raises SpecError with everything that is wrong in the file.
    """
    name = str(path)
    raw = read_bytes(name, path)
    text = raw if isinstance(raw, Problem) else decode(raw, name)
    if isinstance(text, Problem):
        raise SpecError([text])
    written = [document for document in documents(text) if not is_blank(document)]
    if len(written) != 1:
        words = "holds no traffic" if not written else "holds several documents: traffic is one"
        raise SpecError([Problem(name, 1, 1, "", words, "begin it with `injection:`, as in a spec")])
    profile, problems = _checked(name, path, written[0])
    if profile is None or problems:
        raise SpecError(inside(problems, text))
    return profile


def _checked(name: str, path: Path, document: Document) -> tuple[Profile | None, list[Problem]]:
    root, profile, findings = document.root, None, list[Finding]()
    if root is not None:
        data = root.data
        if isinstance(data, dict) and "model" in data:
            data = {section: data[section] for section in SECTIONS if section in data}
        context = {"resolve": lambda file: resolve_in(path.parent, file)}
        profile, findings = check_as(Profile, data, context)
    return profile, problems_of(name, document, findings, document.nulls)
