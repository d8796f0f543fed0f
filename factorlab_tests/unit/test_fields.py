"""The fields that the launchpad shows: all of them, with the defaults and ranges of the code."""

from __future__ import annotations

from factorlab_assets import fields
from factorlab_tests.architecture.test_strategy_docs import KEYS


def test_every_field_has_a_row_with_a_meaning_and_no_meaning_is_left_over() -> None:
    rows = {row.path: row for row in fields.of_strategy()}
    paths = {path.replace("factors[]", "factors.LABEL", 1).replace("[]", ".0") for path in KEYS}
    assert set(fields.MEANINGS) <= set(KEYS) | {path for path in rows if path.startswith("sweep.")}
    assert set(rows) >= paths - {"sweep"}
    assert [path for path, row in rows.items() if not row.meaning] == []
    assert rows["portfolio.select.top_k"] == (
        "portfolio.select.top_k",
        "none",
        "from 1, whole",
        "hold the k highest scores, and short the k lowest",
    )
    assert rows["costs.tc_bps"][1:3] == ("5", "0 to 1000")
    assert rows["portfolio.max_weight"].allowed == "above 0 to 1"
    assert rows["factors.LABEL.transforms.0.lower"][1:3] == ("0.05", "0 to below 0.5")


def test_every_factor_and_its_parameters_have_a_row() -> None:
    rows = {row.path: row for row in fields.of_factors()}
    assert rows["factors.trend.lookback"][1:] == ("12", "1 to 120", "L, months of the return")
    assert rows["trend"].default == "delay 1"
    assert rows["factors.characteristic.panel"].default == "required"
    items = [line for line in fields.described().splitlines() if line.startswith("- ")]
    assert len(items) == len(fields.of_strategy()) + len(rows)
    assert (
        "- `costs.tc_bps`: 5; 0 to 1000. trading cost of what is traded, in basis points" in items
    )
