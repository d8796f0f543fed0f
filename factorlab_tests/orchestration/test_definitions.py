"""The graph as the web UI shows it before any run."""

from __future__ import annotations

import dagster as dg
import pytest

from factorlab_assets import schemas
from factorlab_assets.definitions import defs

GRAPH = {
    "market": {
        "strategies",
        "raw_prices",
        "suspect_prices",
        "distribution_status",
        "price_basis",
        "price_quality",
        "adjusted_prices",
        "monthly_returns",
        "reconciliation",
        "revisions",
    },
    "research": {
        "memberships",
        "factor_signals",
        "scores",
        "weights",
        "daily_returns",
        "backtest_returns",
        "metrics",
    },
    "evaluation": {
        "inference",
        "regime_metrics",
        "feasibility",
        "robustness",
        "rolling_metrics",
        "calendar_returns",
        "drawdowns",
        "contributions",
        "notable_months",
        "exposures",
        "factor_diagnostics",
        "verdict",
        "tear_sheet",
        "sweep_metrics",
        "sweep_evidence",
        "walk_forward",
    },
    "library": {"leaderboard", "return_correlations", "library_page"},
}
QUICK = {"inference", "regime_metrics"}
JUDGED = QUICK | {"feasibility", "robustness"}
SWEPT = {"sweep_metrics", "sweep_evidence", "walk_forward"}
JOBS = {
    "market": GRAPH["market"],
    "prices": GRAPH["market"] - {"strategies", "raw_prices"},
    "research": GRAPH["research"] | QUICK,
    "evaluation": JUDGED,
    "report": GRAPH["evaluation"] - JUDGED - SWEPT,
    "sweep": SWEPT,
    "library": GRAPH["library"],
}
SPECS = {spec.key.to_user_string(): spec for spec in defs.resolve_all_asset_specs()}


def test_groups_hold_the_assets_of_the_design() -> None:
    groups: dict[str, set[str]] = {}
    for name, spec in SPECS.items():
        groups.setdefault(str(spec.group_name), set()).add(name)
    assert groups == GRAPH


@pytest.mark.parametrize("name", sorted(JOBS))
def test_jobs_run_the_assets_of_their_stage(name: str) -> None:
    layer = defs.resolve_job_def(name).asset_layer
    assert {key.to_user_string() for key in layer.selected_asset_keys} == JOBS[name]


@pytest.mark.parametrize("name", sorted(SPECS))
def test_every_asset_says_what_it_is(name: str) -> None:
    spec = SPECS[name]
    assert spec.description
    assert spec.kinds
    assert spec.owners


@pytest.mark.parametrize("name", sorted(set(SPECS) - {"strategies"}))
def test_columns_are_known_before_any_run(name: str) -> None:
    shown = SPECS[name].metadata["dagster/column_schema"]
    assert [column.name for column in shown.columns] == list(schemas.TABLES[name].columns)
    assert all(column.description for column in shown.columns)


@pytest.mark.parametrize("name", sorted(set(SPECS) - {"strategies"}))
def test_every_table_has_its_blocking_checks(name: str) -> None:
    specs = (
        [spec for spec in defs.get_all_asset_checks_specs() if spec.asset_key == dg.AssetKey(name)]
        if hasattr(defs, "get_all_asset_checks_specs")
        else _check_specs(name)
    )
    assert {spec.name for spec in specs} == set(schemas.TABLES[name].checks)
    assert all(spec.blocking and spec.description for spec in specs)


def _check_specs(name: str) -> list[dg.AssetCheckSpec]:
    graph = defs.resolve_asset_graph()
    return [
        graph.get_check_spec(key)
        for key in graph.asset_check_keys
        if key.asset_key == dg.AssetKey(name)
    ]


def test_research_follows_the_design_graph() -> None:
    def upstream(name: str) -> set[str]:
        return {dep.asset_key.to_user_string() for dep in SPECS[name].deps}

    assert upstream("distribution_status") == {"raw_prices"}
    assert upstream("suspect_prices") == {"raw_prices", "distribution_status"}
    assert upstream("price_quality") == {"raw_prices", "suspect_prices", "price_basis"}
    judged = {"raw_prices", "suspect_prices", "distribution_status", "price_basis"}
    assert upstream("adjusted_prices") == judged
    assert upstream("monthly_returns") == {"adjusted_prices"}
    prices = {"monthly_returns", "price_basis", "adjusted_prices"}
    assert upstream("memberships") == prices
    assert upstream("factor_signals") == {"memberships"} | prices
    assert upstream("scores") >= {"memberships", "factor_signals"}
    assert upstream("weights") >= {"memberships", "scores", "factor_signals"}
    assert upstream("backtest_returns") >= {"weights", "monthly_returns", "adjusted_prices"}
    assert upstream("inference") == {"backtest_returns", "metrics"} | prices
    assert upstream("regime_metrics") == {"backtest_returns"} | prices
    books = {"weights", "backtest_returns"} | prices
    assert upstream("robustness") == books
    assert upstream("feasibility") == {"memberships", "scores"} | books
    assert upstream("sweep_metrics") == prices
    assert upstream("walk_forward") == upstream("sweep_evidence") == {"sweep_metrics"} | prices
    assert upstream("contributions") == upstream("notable_months") == books
    assert upstream("factor_diagnostics") == {"memberships", "factor_signals", "scores"} | prices
    assert upstream("verdict") >= {"metrics", "inference", "robustness", "calendar_returns"}
    drawn = GRAPH["research"] | GRAPH["evaluation"] - SWEPT - {"tear_sheet"}
    assert upstream("tear_sheet") == drawn | prices
    assert upstream("library_page") >= {"tear_sheet", "verdict", "sweep_metrics", "metrics"}
    assert upstream("leaderboard") == {"metrics", "backtest_returns", "inference"}
    assert upstream("return_correlations") == {"backtest_returns"}
    cells = GRAPH["research"] | GRAPH["evaluation"]
    assert "strategies" not in set().union(*map(upstream, cells))
