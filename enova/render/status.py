"""A status for people."""

from __future__ import annotations

from rich.text import Text

from enova.core.launch import Role
from enova.core.status import Condition, InstanceStatus, ServiceStatus, Status, Truth

HEADINGS = ("TARGET", "STATE", "HEALTH", "SERVES", "DEVICES", "AGE", "ADDRESS", "RUNS")
STYLES = {Truth.TRUE: "green", Truth.FALSE: "yellow", Truth.UNKNOWN: "magenta"}


def status_text(status: Status) -> Text:
    """Return a block per service: its endpoint, its conditions and instances, what is not in sync, and remarks."""
    text = Text()
    for service in status.services:
        _service(text, service)
    # Where there are specs, the conditions of the services concerned have said it.
    for note in () if status.compared else status.unknowns:
        text.append("unknown: ", "magenta").append(f"{note}\n")
    if not status.services and not status.unknowns:
        text.append("Nothing of Enova's runs here\n")
    return text


def age(seconds: float | None) -> str:
    """Return a time span in its largest unit: `42s`, `7m`, `3h`, `12d`."""
    if seconds is None:
        return "-"
    for unit, length_s in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= length_s:
            return f"{seconds // length_s:.0f}{unit}"
    return f"{seconds:.0f}s"


def _service(text: Text, service: ServiceStatus) -> None:
    text.append(service.name, "bold").append(" (emulated)" if service.emulated else "")
    text.append(f"  {service.endpoint or 'no endpoint'}\n")
    for condition in service.conditions:
        _condition(text, condition)
    rows = [HEADINGS, *(_row(instance) for instance in service.instances)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    for index, row in enumerate(rows if service.instances else []):
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        text.append(f"  {line}\n", "dim" if index == 0 else "")
    for action in service.pending:
        text.append(f"  pending: {action}\n", "yellow")
    for note in service.notes:
        text.append("  note: ", "cyan").append(f"{note.words}\n")
    text.append("\n")


def _condition(text: Text, condition: Condition) -> None:
    # Reconciling=False is the good case, so that only Ready is coloured by its truth.
    style = STYLES[condition.status] if condition.type == "Ready" else ""
    text.append(f"  {condition.type}: ").append(str(condition.status), style)
    text.append(f" ({condition.reason}): {condition.message}\n")


def _row(instance: InstanceStatus) -> tuple[str, ...]:
    runs = instance.image or ("vllm-router" if instance.role is Role.GATEWAY else "vllm")
    if instance.emulated:
        runs = f"{instance.image or 'engine'} (emulated)"
    return (
        instance.target,
        str(instance.state),
        str(instance.health),
        "yes" if instance.serving else "no",
        ",".join(instance.devices) or "-",
        age(instance.age_s),
        instance.url or "-",
        f"{instance.runtime}: {runs}",
    )
