"""YAML text to nodes that know their place. The C parser makes events; the tree is built here, without recursion.

YAML 1.2 values (`no` and `on` are text, there are no dates), anchors and merge keys. Tags, complex keys, cycles,
deep nesting and aliases that multiply are problems. Messages never repeat what is written: a password can look
like a tag or an alias.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from _ruamel_yaml import CParser  # type: ignore[import-not-found]  # C code without stubs
from ruamel.yaml.error import MarkedYAMLError, StringMark
from ruamel.yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from enova.adapters.specfiles.scalars import MERGE, TAG_REFUSED, scalar

MAX_DEPTH = 64
MAX_NODES = 20_000

Loc = tuple[str | int, ...]


@dataclass(slots=True)
class Node:
    """A value and where it starts (from 1). `data` is plain Python; `children` and `keys` know places inside."""

    data: Any
    line: int
    column: int
    children: dict[str | int, Node] = field(default_factory=dict)
    keys: dict[str | int, tuple[int, int]] = field(default_factory=dict)
    size: int = 1


@dataclass(frozen=True, slots=True)
class Misfit:
    """Something that YAML allows, or nearly, and a spec does not."""

    line: int
    column: int
    loc: Loc
    message: str
    hint: str | None = None


@dataclass(slots=True)
class Document:
    """One document: its root (None if nothing was written), what is wrong in it, and where it says null."""

    root: Node | None = None
    misfits: list[Misfit] = field(default_factory=list)
    nulls: list[Misfit] = field(default_factory=list)


def documents(text: str) -> Iterator[Document]:
    """Yield each document. After a syntax error the last one holds that error and no root."""
    parser = CParser(text)
    builder = _Builder()
    try:
        while True:
            event = parser.get_event()
            kind = type(event)
            if kind is StreamEndEvent:
                return
            if kind is DocumentEndEvent:
                yield builder.document
                builder = _Builder()
            else:
                builder.take(event)
    except MarkedYAMLError as error:
        yield Document(misfits=[*builder.document.misfits, _syntax(error, text)])
    except _Stop as stop:
        yield Document(misfits=[*builder.document.misfits, stop.misfit])


class _Stop(Exception):
    """Reading on would be pointless or dangerous."""

    def __init__(self, misfit: Misfit) -> None:
        super().__init__(misfit.message)
        self.misfit = misfit


@dataclass(slots=True)
class _Open:
    """A mapping or sequence whose end has not been seen."""

    node: Node
    is_mapping: bool
    anchor: str | None
    key: Node | None = None
    merges: list[Node] = field(default_factory=list)


class _Builder:
    """Builds one document from events."""

    def __init__(self) -> None:
        self.document = Document()
        self._open: list[_Open] = []
        self._anchors: dict[str, Node] = {}

    def take(self, event: Any) -> None:
        kind = type(event)
        if kind is ScalarEvent:
            self._take_scalar(event)
        elif kind is MappingStartEvent or kind is SequenceStartEvent:
            self._start(event, is_mapping=kind is MappingStartEvent)
        elif kind is MappingEndEvent or kind is SequenceEndEvent:
            self._end()
        elif kind is AliasEvent:
            self._take_alias(event)

    def _take_scalar(self, event: ScalarEvent) -> None:
        mark = event.start_mark
        node = Node(None, mark.line + 1, mark.column + 1)
        value, message = scalar(event.value, is_plain=event.implicit[0] and not event.style, tag=event.tag)
        is_key = bool(self._open) and self._open[-1].is_mapping and self._open[-1].key is None
        node.data = event.value if value is MERGE and not is_key else value
        if message:
            self._misfit(node, message)
        elif value is None:
            hint = "give it a value or remove the key"
            self.document.nulls.append(Misfit(node.line, node.column, self._loc(), "must not be empty", hint))
        if event.anchor:
            self._anchors[event.anchor] = node
        self._add(node)

    def _start(self, event: MappingStartEvent | SequenceStartEvent, *, is_mapping: bool) -> None:
        mark = event.start_mark
        node = Node({} if is_mapping else [], mark.line + 1, mark.column + 1)
        if len(self._open) >= MAX_DEPTH:
            raise _Stop(Misfit(node.line, node.column, (), f"is nested more than {MAX_DEPTH} deep"))
        if event.tag is not None:
            self._misfit(node, TAG_REFUSED)
        if event.anchor:
            self._anchors.pop(event.anchor, None)
        self._open.append(_Open(node, is_mapping, event.anchor))

    def _end(self) -> None:
        done = self._open.pop()
        for source in done.merges:
            self._merge(source, done.node)
        if done.anchor:
            self._anchors[done.anchor] = done.node
        self._add(done.node)

    def _take_alias(self, event: AliasEvent) -> None:
        mark = event.start_mark
        target = self._anchors.get(event.anchor)
        if target is None:
            node = Node(None, mark.line + 1, mark.column + 1)
            inside = any(frame.anchor == event.anchor for frame in self._open)
            message = "this alias stands inside its own anchor" if inside else "this alias has no anchor before it"
            self._misfit(node, message)
            target = node
        self._add(target, (mark.line + 1, mark.column + 1))

    def _add(self, node: Node, place: tuple[int, int] | None = None) -> None:
        if not self._open:
            self.document.root = node
            return
        frame = self._open[-1]
        owner = frame.node
        if not frame.is_mapping:
            owner.children[len(owner.data)] = node
            owner.data.append(node.data)
        elif frame.key is None:
            line, column = place or (node.line, node.column)
            frame.key = Node(node.data, line, column)
            return
        else:
            self._add_pair(frame, frame.key, node)
            frame.key = None
        owner.size += node.size
        if owner.size > MAX_NODES:
            line, column = place or (node.line, node.column)
            raise _Stop(
                Misfit(line, column, (), f"holds more than {MAX_NODES} values", "aliases of aliases multiply")
            )

    def _add_pair(self, frame: _Open, key: Node, value: Node) -> None:
        owner = frame.node
        if key.data is MERGE:
            self._queue_merge(frame, key, value)
            return
        if not isinstance(key.data, str):
            self._misfit(key, "keys must be text", "put the key in quotes")
            return
        if key.data in owner.children:
            first = owner.keys[key.data][0]
            self._misfit(key, f"is written twice, first in line {first}", "keep one", key.data)
            return
        owner.children[key.data] = value
        owner.keys[key.data] = (key.line, key.column)
        owner.data[key.data] = value.data

    def _queue_merge(self, frame: _Open, key: Node, value: Node) -> None:
        is_list = isinstance(value.data, list)
        sources = list(value.children.values()) if is_list else [value]
        if frame.merges:
            self._misfit(key, "<< is written twice", "write << : [*a, *b]")
        elif not all(isinstance(source.data, dict) for source in sources):
            self._misfit(key, "<< takes a mapping or a list of mappings", "for example << : *defaults")
        else:
            frame.merges = sources

    def _merge(self, source: Node, into: Node) -> None:
        for name, child in source.children.items():
            if name not in into.children:
                into.children[name] = child
                into.keys[name] = source.keys[name]
                into.data[name] = child.data

    def _misfit(self, node: Node, message: str, hint: str | None = None, key: str | None = None) -> None:
        loc = self._loc() if key is None else (*self._loc()[:-1], key)
        self.document.misfits.append(Misfit(node.line, node.column, loc, message, hint))

    def _loc(self) -> Loc:
        """Return the key path of the value that comes next."""
        parts: list[str | int] = []
        for frame in self._open:
            if not frame.is_mapping:
                parts.append(len(frame.node.data))
            elif frame.key is not None and isinstance(frame.key.data, str):
                parts.append(frame.key.data)
        return tuple(parts)


def _syntax(error: MarkedYAMLError, text: str) -> Misfit:
    mark: StringMark | None = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    lines = text.split("\n")
    written = lines[line - 1] if line <= len(lines) else ""
    if "cannot start any token" in str(error.problem) and "\t" in written[: column + 1]:
        return Misfit(line, column, (), "a tab is used to indent", "use spaces")
    problem, context = (re.sub(r"\s+", " ", str(part or "")).strip() for part in (error.problem, error.context))
    message = f"is not valid YAML: {problem}" + (f" {context}" if context else "")
    return Misfit(line, column, (), message, _syntax_hint(problem, written, column))


def _syntax_hint(problem: str, written: str, column: int) -> str | None:
    if "mapping values are not allowed" in problem:
        return "put text that holds a colon in quotes, or check the indentation"
    if "cannot start any token" in problem and written[column - 1 : column] in ("@", "`", "%"):
        return "put it in quotes"
    if "expected <block end>" in problem or "did not find expected key" in problem:
        return "check the indentation"
    return None
