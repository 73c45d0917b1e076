"""The JSON Schemas of spec files and of a declared inventory, for editors and for check-jsonschema.

Written with draft-07 keywords only, which is what YAML editors understand. Unset keys have no null form, and every
key has a description and an example.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel

from enova.core.spec.inventory import DeclaredInventory
from enova.core.spec.service import Service

SCHEMA_ID = "urn:enova:schemas:service:v1"
INVENTORY_SCHEMA_ID = "urn:enova:schemas:inventory:v1"

_DROPPED = frozenset({"discriminator", "title"})


def schema() -> dict[str, Any]:
    """Return the schema of one Service document."""
    made = _schema(Service, SCHEMA_ID, "Enova service")
    model = made["properties"]["model"]
    model |= {"anyOf": [made["definitions"]["Model"]["properties"]["id"], *model.pop("allOf")]}
    return made


def inventory_schema() -> dict[str, Any]:
    """Return the schema of an inventory file."""
    return _schema(DeclaredInventory, INVENTORY_SCHEMA_ID, "Enova inventory")


def as_text(schema: dict[str, Any]) -> str:
    """Return a schema as the file in schemas/ holds it."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _schema(kind: type[BaseModel], schema_id: str, title: str) -> dict[str, Any]:
    made = kind.model_json_schema(by_alias=True, ref_template="#/definitions/{model}", mode="validation")
    definitions = {name: _draft_07(schema) for name, schema in sorted(made.pop("$defs").items())}
    root = _draft_07(made)
    properties = root.pop("properties")
    for keys in [properties, *(definition["properties"] for definition in definitions.values())]:
        _describe(keys, definitions)
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$id": schema_id,
        "title": title,
        **root,
        "properties": properties,
        "patternProperties": {"^x-": {"description": "Ignored: for anchors and notes.", "examples": [{}]}},
        "definitions": definitions,
    }


def _describe(properties: dict[str, Any], definitions: dict[str, Any]) -> None:
    """Give every key a description of its own: where it equals its section's, it was left out."""
    for key in properties.values():
        if "description" not in key:
            key["description"] = definitions[key["allOf"][0]["$ref"].rpartition("/")[2]]["description"]


def _draft_07(part: Any) -> Any:
    """Return a schema without null branches, and with nothing beside a $ref, which draft-07 would ignore."""
    if isinstance(part, list):
        return [_draft_07(item) for item in part]
    if not isinstance(part, dict):
        return part
    made = {name: _inside(name, value) for name, value in part.items() if name not in _DROPPED}
    if made.get("default", ...) in (None, [], {}):
        del made["default"]
    if "patternProperties" in made:
        made.setdefault("additionalProperties", False)
    branches = [branch for branch in made.get("anyOf", []) if branch != {"type": "null"}]
    if len(branches) == 1 and len(made["anyOf"]) == 2:
        del made["anyOf"]
        made = branches[0] | made
    elif branches:
        made["anyOf"] = branches
    if "$ref" in made and len(made) > 1:
        made["allOf"] = [{"$ref": made.pop("$ref")}]
    return made


def _inside(name: str, value: Any) -> Any:
    if name in ("properties", "patternProperties"):
        return {key: _draft_07(item) for key, item in value.items()}
    if name in ("default", "examples", "enum", "const"):
        return value
    return _draft_07(value)
