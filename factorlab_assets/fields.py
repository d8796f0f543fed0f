"""Every field of a strategy file with its default, range and meaning, from the models themselves.

Belongs here: the list that the launchpad shows. Does not: the models (`strategy`), the factors
(`core.factors`), or docs/strategies.md, which explains at length.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple

from factorlab_assets import strategy, strategy_book, strategy_signals, strategy_sweep
from factorlab_assets.core import factors
from factorlab_assets.strategy import Strategy

MEANINGS = {
    "description": "the idea, its source, and what it should show",
    "active": "whether new data of a month make FactorLab recompute it by itself",
    "price": "which prices; none: total returns where known of every ticker, else closes",
    "benchmark": "a ticker, equal_weight, 60/40 or strategy:NAME",
    "in_sample_until": "last month, as in 2015-12, that the idea was developed on",
    "universe.liquidity_months": "months that the median dollar volume is of",
    "factors[].name": "which factor: the list below has them all",
    "factors[].label": "tells two factors of one kind apart; the paths here name a factor by it",
    "factors[].params": "the factor's own: the list below has them all",
    "factors[].delay": "months that the signal is moved back; none: the factor's own",
    "factors[].weight": "its part in the score; below 0 turns it round, 0 leaves it out",
    "factors[].transforms[].kind": "what is done to the values; a key below goes with one kind",
    "factors[].transforms[].lower": "winsorize: lower quantile",
    "factors[].transforms[].upper": "winsorize: upper quantile",
    "factors[].transforms[].within": "zscore, demean, rank: within each group of this grouping",
    "factors[].transforms[].groups": "neutralize: a grouping",
    "factors[].transforms[].factors": "neutralize: labels of other factors",
    "factors[].transforms[].low": "clip: the least",
    "factors[].transforms[].high": "clip: the most",
    "factors[].transforms[].months": "delay: months back; smooth: months in the mean",
    "combine.how": "from the factors' signals to one score",
    "portfolio.type": "whether names at the bottom are sold short",
    "portfolio.select.top_k": "hold the k highest scores, and short the k lowest",
    "portfolio.select.fraction": "the same for a share of the names with a score",
    "portfolio.weighting": "how those that are held are weighted",
    "portfolio.fixed_weights": "ticker: weight, with weighting: fixed",
    "portfolio.risk.model": "how the covariance is estimated",
    "portfolio.risk.returns": "of which returns",
    "portfolio.turnover_penalty": "mean_variance: see risk_aversion",
    "portfolio.max_weight": "the most that one name may weigh, long or short",
    "portfolio.max_names": "the most names that are held",
    "portfolio.group_by": "the grouping that groups bounds",
    "portfolio.gross": "Σ|w| of a fully invested book",
    "portfolio.net": "Σw of a fully invested long_short book; none: 0",
    "portfolio.beta.market": "beta to which ticker",
    "portfolio.beta.window": "months of returns that it is estimated from",
    "portfolio.beta_target": "the book is scaled to this beta, up to max_leverage",
    "execution.trade_at": "the price that is traded at",
    "execution.turnover": "what is charged: the trade from drifted weights, or from the targets",
    "costs.tc_bps": "trading cost of what is traded, in basis points",
    "costs.slippage_bps": "slippage, added to it",
    "sweep.parameters": "dotted path: its values, a list or {start, stop, step}",
    "sweep.sample": "so many combinations drawn at random; none: all of them",
    "sweep.seed": "of that draw",
    "sweep.blocks": "into which the history is cut for the probability of overfitting",
    "sweep.walk_forward.train_months": "months that a choice is made on",
    "sweep.walk_forward.test_months": "months that it then earns in",
    "sweep.walk_forward.choose_by": "what the best combination has most of",
    "sweep.cross_validation.folds": "into which the history is cut",
    "sweep.cross_validation.test_folds": "of them tested at a time",
}
"""Of the fields whose models have no sentence on them."""


class Field(NamedTuple):
    """One field: its path as `--set` takes it, LABEL standing for a factor's label or name."""

    path: str
    default: str
    allowed: str
    meaning: str


def of_strategy() -> list[Field]:
    """Every field of a strategy file but its name, in the order of the models."""
    schema = Strategy.model_json_schema()
    leaves: dict[str, dict[str, Any]] = {}
    for path, leaf in _leaves(schema, schema["$defs"], ""):
        if path not in leaves:  # several kinds of transforms share a key
            leaves[path] = leaf
    del leaves["name"]
    return [
        Field(
            path.replace("factors[]", "factors.LABEL", 1).replace("[]", ".0"),
            _default(leaf),
            _allowed(leaf),
            MEANINGS.get(path) or _phrase(leaf.get("description", "")),
        )
        for path, leaf in leaves.items()
    ]


def of_factors() -> list[Field]:
    """Every factor, each followed by its parameters."""
    rows = []
    for spec in factors.REGISTRY.values():
        rows.append(Field(spec.name, f"delay {spec.delay}", "", spec.summary))
        rows += [
            Field(
                f"factors.{spec.name}.{param.name}",
                str(param.default) or "required",
                f"{param.low} to {param.high}" if not param.pattern else "text",
                param.meaning,
            )
            for param in spec.params
        ]
    return rows


def described() -> str:
    """All of it in Markdown: a list, for the web UI shows it in a column too narrow for a table."""
    return "\n".join(
        [
            "**Every path: its default; what is allowed. What it means.** LABEL is a factor's "
            "label or name; `factors.LABEL.lookback` and the like are its own parameters.\n",
            *map(_item, of_strategy()),
            "\n**Every factor and its parameters.**\n",
            *map(_item, of_factors()),
        ]
    )


def _item(row: Field) -> str:
    """One line of it.

    >>> _item(Field("costs.tc_bps", "5", "0 to 1000", "trading cost"))
    '- `costs.tc_bps`: 5; 0 to 1000. trading cost'
    """
    return f"- `{row.path}`: {'; '.join(filter(None, row[1:3]))}. {row.meaning}"


def _leaves(
    node: Mapping[str, Any], defs: Mapping[str, Any], path: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every key below a node of the JSON schema as a path, `[]` for a list's entries."""
    options = [each for each in node.get("anyOf", []) if "$ref" in each]
    reference = node if "$ref" in node else options[0] if len(options) == 1 else {}
    if reference:
        node = {**node, **defs[reference["$ref"].rpartition("/")[2]]}
    entries = node.get("items", {})
    if "properties" in node:
        for name, child in node["properties"].items():
            said = _sentences().get((node["title"], name), child.get("description", ""))
            is_required = name in node.get("required", ())
            child = {**child, "is_required": is_required, "description": said}
            yield from _leaves(child, defs, f"{path}.{name}".lstrip("."))
    elif "oneOf" in entries:
        kinds = [each["$ref"].rpartition("/")[2] for each in entries["oneOf"]]
        yield f"{path}[].kind", {"is_required": True, "enum": [kind.lower() for kind in kinds]}
        for member in entries["oneOf"]:
            yield from _leaves(member, defs, f"{path}[]")
    elif "$ref" in entries:
        yield from _leaves(entries, defs, f"{path}[]")
    else:
        yield path, dict(node)


@cache
def _sentences() -> dict[tuple[str, str], str]:
    """(model, field) -> the sentence below the field in the source.

    pydantic can do that for every model as it is made, in a tenth of a second of every process.
    """
    found = {}
    for module in (strategy, strategy_book, strategy_signals, strategy_sweep):
        tree = ast.parse(inspect.getsource(module))
        for model in (node for node in tree.body if isinstance(node, ast.ClassDef)):
            for field, after in pairwise(model.body):
                if isinstance(field, ast.AnnAssign) and isinstance(after, ast.Expr):
                    found[model.name, ast.unparse(field.target)] = ast.literal_eval(after.value)
    return found


def _phrase(sentence: str) -> str:
    """A docstring on one line, as a cell of a table says it.

    >>> _phrase("Months, also where\\nreturns are daily."), _phrase("Σ|w| is gross.")
    ('months, also where returns are daily', 'Σ|w| is gross')
    """
    text = " ".join(sentence.split()).removesuffix(".")
    return text[:1].lower() + text[1:] if text[1:2].islower() or text[1:2] == " " else text


def _default(leaf: Mapping[str, Any]) -> str:
    if leaf["is_required"]:
        return "required"
    default = leaf.get("default")
    if default in (None, [], {}, ""):
        return "none"
    if isinstance(default, bool):
        return str(default).lower()
    return f"{default:g}" if isinstance(default, float) else str(default)


def _allowed(leaf: Mapping[str, Any]) -> str:
    choices = [each for each in leaf.get("anyOf", [leaf]) if each.get("type") != "null"]
    return " or ".join(dict.fromkeys(_form(choice) for choice in choices))


def _form(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return ", ".join(map(str, schema["enum"]))
    named = {"string": "text", "boolean": "true, false", "object": "a mapping", "array": "a list"}
    kind = schema.get("type", "")
    return named.get(kind) or _range(schema) + (", whole" if kind == "integer" else "")


def _range(schema: Mapping[str, Any]) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    least = f"above {above:g}" if above is not None else f"{low:g}" if low is not None else ""
    most = f"below {below:g}" if below is not None else f"{high:g}" if high is not None else ""
    if least and most:
        return f"{least} to {most}"
    if least:
        return least if above is not None else f"from {least}"
    return f"to {most}" if most else "a number"
