"""Reads spec files and folders of them, and reports every problem with its place."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from enova.adapters.specfiles.nodes import Document, Misfit, Node, documents
from enova.adapters.specfiles.places import problem
from enova.adapters.specfiles.reading import inside, is_blank, problems_of, read_bytes
from enova.adapters.specfiles.text import decode
from enova.core.spec.arguments import JSON_ARGUMENTS
from enova.core.spec.check import check
from enova.core.spec.explain import Finding
from enova.core.spec.fault import Fault
from enova.core.spec.service import Service
from enova.core.spec.together import clashes
from enova.errors import Problem, SpecError

STDIN = "-"
MAX_PROBLEMS = 1000
_SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class SpecFile:
    """One service and where it is written. `file` is as given on the command line, or `<stdin>`."""

    file: str
    line: int
    service: Service


@dataclass(frozen=True, slots=True)
class Survey:
    """What can be used of spec files, and what is wrong with the others."""

    files: tuple[SpecFile, ...]
    """The services of all files there is nothing wrong with."""
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class _Read:
    file: str
    root: Node
    service: Service


def load(paths: Sequence[str], *, stdin: str | bytes | None = None) -> tuple[SpecFile, ...]:
    """Return all services of files and folders, in order; `-` is `stdin`.

    Folders are searched through for *.yaml and *.yml, sorted, without what is hidden. Relative paths in a spec
    start at its own folder. Raises SpecError with every problem of every file.
    """
    found = survey(paths, stdin=stdin)
    if found.problems:
        raise SpecError(found.problems)
    return found.files


def survey(paths: Sequence[str], *, stdin: str | bytes | None = None) -> Survey:
    """Return what can be used of the same files, and every problem: one broken file breaks no other."""
    problems: list[Problem] = []
    read: list[_Read] = []
    for name, file in _files(paths, problems):
        raw = _bytes(name, file, stdin, problems)
        if raw is not None:
            read += _read(name, raw, file.parent if file else Path.cwd(), problems)
    for clash in clashes([item.service for item in read]):
        here, there = read[clash.index], read[clash.other]
        found = problem(here.file, here.root, clash.finding)
        other = f"{there.service.name} in {there.file}:{there.root.line}"
        problems.append(
            Problem(found.file, found.line, found.column, found.path, f"{found.message}: {other}", found.hint)
        )
    broken = {one.file for one in problems}
    whole = [SpecFile(item.file, item.root.line, item.service) for item in read if item.file not in broken]
    return Survey(tuple(whole), tuple(dict.fromkeys(problems)))


def resolve_in(folder: Path, path: str) -> str:
    """Return a path that a file in this folder names, as an absolute one."""
    try:
        written = Path(path).expanduser()
    except RuntimeError:
        raise Fault("names the home folder of a user who is not known here", hint="write the whole path") from None
    return os.path.normpath(folder.absolute() / written)


def _files(paths: Sequence[str], problems: list[Problem]) -> Iterator[tuple[str, Path | None]]:
    seen: set[Path] = set()
    for given in paths:
        if given == STDIN:
            yield "<stdin>", None
            continue
        path = Path(given)
        before = len(problems)
        found = list(_in_folder(path, problems)) if path.is_dir() else [path]
        if not found and len(problems) == before:
            problems.append(
                Problem(given, 0, 0, "", "holds no spec file", "it needs at least one *.yaml or *.yml")
            )
        for file in found:
            absolute = file.resolve()
            if absolute not in seen:
                seen.add(absolute)
                yield str(file), file


def _in_folder(folder: Path, problems: list[Problem]) -> Iterator[Path]:
    def unseen(error: OSError) -> None:
        # A folder that cannot be looked into is not an empty one.
        words = f"cannot be read: {error.strerror or error}"
        problems.append(Problem(str(error.filename or folder), 0, 0, "", words, "check its permissions"))

    for parent, folders, names in os.walk(folder, onerror=unseen):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if name.endswith(_SUFFIXES) and not name.startswith("."):
                yield Path(parent, name)


def _bytes(name: str, file: Path | None, stdin: str | bytes | None, problems: list[Problem]) -> bytes | None:
    if file is None:
        return stdin.encode("utf-8", "surrogateescape") if isinstance(stdin, str) else (stdin or b"")
    raw = read_bytes(name, file)
    if isinstance(raw, Problem):
        problems.append(raw)
        return None
    return raw


def _read(name: str, raw: bytes, folder: Path, problems: list[Problem]) -> Iterator[_Read]:
    text = decode(raw, name)
    if isinstance(text, Problem):
        problems.append(text)
        return
    found: list[Problem] = []
    is_empty = True
    for document in documents(text):
        if is_blank(document):
            continue
        is_empty = False
        if len(found) >= MAX_PROBLEMS:
            found.append(
                Problem(name, found[-1].line, found[-1].column, "", "too many problems: the rest is not read")
            )
            break
        service = _check(name, document, folder, found)
        if service is not None and document.root is not None:
            yield _Read(name, document.root, service)
    if is_empty:
        found.append(Problem(name, 1, 1, "", "holds no spec", "start with: enova init MODEL"))
    problems += inside(found, text)


def _check(name: str, document: Document, folder: Path, problems: list[Problem]) -> Service | None:
    nulls = [null for null in document.nulls if not _is_free(null)]
    service, findings = None, list[Finding]()
    if document.root is not None:
        service, findings = check(document.root.data, resolve=lambda path: resolve_in(folder, path))
    found = problems_of(name, document, findings, nulls)
    problems += found
    return None if found else service


def _is_free(null: Misfit) -> bool:
    loc = null.loc
    is_json = len(loc) > 2 and loc[0] == "engine" and loc[1] in JSON_ARGUMENTS
    return is_json or not loc or str(loc[0]).startswith("x-")
