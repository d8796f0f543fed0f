"""Why an experiment may come out otherwise than it is recorded: its data, configuration or code.

Belongs here: what of a ledger row no longer holds, in words. Does not: recomputing (`verify`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from factorlab_assets import identity, prices, schemas
from factorlab_assets.errors import FactorLabError
from factorlab_assets.store import Store
from factorlab_assets.strategy import Resolved

DEFECT = (
    "neither data, configuration nor code changed: a defect in what the numbers depend on, or rows "
    "that were changed behind the store's back"
)


def causes(store: Store, row: Mapping[str, Any]) -> list[str]:
    """What changed of a ledger row's data, configuration and code since; empty where nothing did.

    Data: the stored rows of its version and of the second one no longer hash to their ids, or are
    gone; or its versions and price rules are not those of its own id. Configuration: the recorded
    text no longer hashes to its config_hash, or today's models read it otherwise or not at all.
    Code: another code version.
    """
    return [*_of_data(store, row), *_of_configuration(row), *_of_code(row)]


def _of_data(store: Store, row: Mapping[str, Any]) -> Iterator[str]:
    kept = {record.partition for record in store.partitions(schemas.RAW_PRICES)}
    second = json.loads(row["prices"])["second"]
    for kind, id_ in (("version", row["data_version_id"]), ("second version", second)):
        if id_ is not None and id_ not in kept:
            yield f"data: the {kind} {id_} is no longer stored"
        elif id_ is not None and not store.is_as_ingested(id_):
            yield (
                f"data: the stored rows of the {kind} {id_} (prices, distributions or "
                "characteristics) are not those that it was made of"
            )
    code: str = row["code_version"]
    if code == identity.code_version():
        try:
            inputs = prices.Inputs.recorded(store, row["data_version_id"], row["prices"])
        except FactorLabError:
            return
        own = identity.experiment_id(row["config_hash"], inputs.named_by(code), code)
        if own != row["experiment_id"]:
            yield "data: the recorded versions and price rules are not those of its id"


def _of_configuration(row: Mapping[str, Any]) -> Iterator[str]:
    recorded: str = row["config"]
    if hashlib.sha256(recorded.encode()).hexdigest()[:16] != row["config_hash"]:
        yield f"configuration: what is recorded no longer hashes to {row['config_hash']}"
    try:
        read = Resolved.from_config(row["strategy"], json.loads(recorded))
    except FactorLabError as error:
        yield f"configuration: {error}"
        return
    if read.config_json != recorded:
        changes = changed(json.loads(recorded), json.loads(read.config_json))
        told = ", ".join(changes) or "it is written otherwise"
        yield f"configuration: today's models read it otherwise ({told})"


def _of_code(row: Mapping[str, Any]) -> Iterator[str]:
    was, is_ = row["code_version"], identity.code_version()
    if was == is_:
        return
    commit, here = row["git_commit"], identity.git_commit()
    if commit == here and commit != "unknown" and not commit.endswith("+dirty"):
        why = f"the commit is the same, {commit}: a numerical library has another version"
    else:
        why = f"recorded at commit {commit}, now {here}; or a numerical library's version"
    yield f"code: from {was} to {is_} ({why})"


def changed(old: Any, new: Any, path: str = "") -> list[str]:
    """Every place at which two configurations differ, as "path: old → new", in order.

    >>> changed({"costs": {"tc_bps": 5, "impact": 0}}, {"costs": {"tc_bps": 10, "impact": 0}})
    ['costs.tc_bps: 5 → 10']
    >>> changed({"factors": [{"name": "trend"}]}, {"factors": []})
    ['factors.0: {"name": "trend"} → nothing']
    """
    if isinstance(old, list) and isinstance(new, list):
        old, new = dict(enumerate(old)), dict(enumerate(new))
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return [] if old == new else [f"{path}: {_said(old)} → {_said(new)}"]
    dot = f"{path}." if path else ""
    return [
        told
        for key in dict.fromkeys((*old, *new))
        for told in changed(old.get(key, _NOTHING), new.get(key, _NOTHING), f"{dot}{key}")
    ]


_NOTHING = object()


def _said(value: Any) -> str:
    return "nothing" if value is _NOTHING else json.dumps(value)
