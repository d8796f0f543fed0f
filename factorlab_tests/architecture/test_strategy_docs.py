"""docs/strategies.md has every key of a strategy file, with the default and range of the code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from factorlab_assets.strategy import Strategy
from factorlab_tests.conftest import PROJECT_ROOT

PAGE = PROJECT_ROOT / "docs" / "strategies.md"
SCHEMA = Strategy.model_json_schema()
SAID_IN_WORDS = (
    "factors[].label",
    "factors[].delay",
    "factors[].transforms[].months",  # two kinds have it, each with its own default
    "portfolio.net",
    "portfolio.min_names",
    "portfolio.risk.min_history",
)
"""Keys whose default follows from other keys; the page explains how."""


def leaves(node: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every key below a node of the JSON schema, as a dotted path, with its own schema."""
    node |= next((each for each in node.get("anyOf", []) if "$ref" in each), {})
    node |= SCHEMA["$defs"][node["$ref"].rpartition("/")[2]] if "$ref" in node else {}
    nested = node.get("items", {})
    if "properties" in node:
        for name, child in node["properties"].items():
            required = {"is_required": name in node.get("required", ())}
            yield from leaves({**child, **required}, f"{path}.{name}".lstrip("."))
    elif "oneOf" in nested:
        for member in nested["oneOf"]:
            yield from leaves(dict(member), f"{path}[]")
    elif "$ref" in nested:
        yield from leaves(dict(nested), f"{path}[]")
    else:
        yield path, node


KEYS = dict(leaves(dict(SCHEMA), ""))
del KEYS["name"]  # the file's name, not a key in it
KINDS = [
    m["$ref"].rpartition("/")[2].lower()
    for m in SCHEMA["$defs"]["Factor"]["properties"]["transforms"]["items"]["oneOf"]
]


def said() -> dict[str, list[str]]:
    """Key -> [default, allowed, meaning] of every row of the page's tables of keys."""
    rows = re.findall(r"^\| `([^`]+)` \|(.*)\|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    cells = {key: re.split(r"(?<!\\)\|", rest) for key, rest in rows}
    return {key: [cell.strip() for cell in row] for key, row in cells.items() if len(row) == 3}


def default_of(schema: dict[str, Any]) -> str:
    if schema["is_required"]:
        return "required"
    default = schema["default"]
    if default in (None, [], {}):
        return "none"
    return f"{default:g}" if isinstance(default, float) else json_text(default)


def json_text(value: object) -> str:
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def allowed_by(schema: dict[str, Any]) -> str:
    choices = [s for s in schema.get("anyOf", [schema]) if s.get("type") != "null"]
    if len(choices) > 1:
        return "text, or a list of tickers"
    (only,) = choices
    if "enum" in only:
        return ", ".join(json_text(value) for value in only["enum"])
    named = {"string": "text", "boolean": "true, false", "object": "a mapping", "array": "a list"}
    return named.get(only["type"]) or bounds(only)


def bounds(schema: dict[str, Any]) -> str:
    if not {"minimum", "exclusiveMinimum"} & schema.keys():
        return "a number"
    is_above = "exclusiveMinimum" in schema
    low = f"above {schema['exclusiveMinimum']:g}" if is_above else f"{schema['minimum']:g}"
    high = f"below {schema['exclusiveMaximum']:g}" if "exclusiveMaximum" in schema else ""
    high = high or (f"{schema['maximum']:g}" if "maximum" in schema else "")
    whole = ", whole" if schema["type"] == "integer" else ""
    return (f"{low} to {high}" if high else low if is_above else f"from {low}") + whole


def test_the_page_has_a_row_for_every_key_and_for_no_other() -> None:
    assert set(said()) == set(KEYS)


@pytest.mark.parametrize("key", KEYS)
def test_the_row_says_the_default_the_range_and_a_meaning(key: str) -> None:
    default, allowed, meaning = said()[key]
    if key.endswith("[].kind"):
        assert (default, allowed) == ("required", ", ".join(f"`{kind}`" for kind in KINDS))
    else:
        assert allowed == allowed_by(KEYS[key])
        assert default == default_of(KEYS[key]) or key in SAID_IN_WORDS
    assert meaning


def test_the_page_lists_every_shipped_strategy_and_no_other() -> None:
    listed = re.findall(r"^\| `(\w+)` \|[^|]*\| \[", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    shipped = [path.stem for path in (PROJECT_ROOT / "data" / "strategies").glob("*.yaml")]
    assert sorted(listed) == sorted(shipped)
