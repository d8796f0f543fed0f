"""Kenneth French's momentum factor out of his six size and prior-return portfolios.

Mom = ½(SMALL Hi + BIG Hi) − ½(SMALL Lo + BIG Lo): a long/short book of ± a half in each of the
four, gross 2, rebalanced monthly, without costs. Both files are of the CRSP database of 202410,
value weighted, percent per month: 1,174 months, 1927-01 to 2024-10.

Tolerance abs=0.01 + 1e-9 percentage points: he rounds the portfolios and the factor to 0.01. Half
the sum of four such errors of up to 0.005 each, and the factor's own 0.005, could make 0.015; no
month does.

The exchange calendar here begins in 1928, so each month is dated 13 months late; nothing in this
book knows the date.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from factorlab_assets.core import research
from factorlab_assets.core.backtest import simulate
from factorlab_assets.core.panel import Floats, Panel
from factorlab_assets.core.portfolio import build
from factorlab_tests.small_panels import panel_of, ranked, resolved_of, strategy_of

PORTFOLIOS = {
    "SMALL LoPRIOR": "S_LO",
    "ME1 PRIOR2": "S_MID",
    "SMALL HiPRIOR": "S_HI",
    "BIG LoPRIOR": "B_LO",
    "ME2 PRIOR2": "B_MID",
    "BIG HiPRIOR": "B_HI",
}
HALVES = {"S_HI": 0.5, "B_HI": 0.5, "S_LO": -0.5, "B_LO": -0.5}
MONTHS = 1174


def first_block(file: Path, title: str) -> pd.DataFrame:
    """The monthly rows, percent, below the first line of names from the line `title` on."""
    lines = file.read_text().splitlines()
    title_at = next(i for i, line in enumerate(lines) if line.strip() == title)
    head = next(i for i in range(title_at, len(lines)) if lines[i].startswith(","))
    names = [name.strip() for name in lines[head].split(",")[1:]]
    rows = []
    for line in lines[head + 1 :]:
        if not re.match(r"\d{6},", line):
            break
        rows.append([float(cell) for cell in line.split(",")])
    frame = pd.DataFrame(rows, columns=["month", *names]).set_index("month")
    assert not frame.isin([-99.99, -999.0]).any().any()
    return frame


@pytest.fixture(scope="module")
def published(shared_data: Path) -> Floats:
    folder = shared_data / "reference" / "kenfrench"
    return first_block(folder / "F-F_Momentum_Factor.CSV", ",Mom")["Mom"].to_numpy()


@pytest.fixture(scope="module")
def panel(shared_data: Path) -> Panel:
    """The six portfolios' monthly returns as prices that start at 100."""
    folder = shared_data / "reference" / "kenfrench"
    said = first_block(
        folder / "6_Portfolios_ME_Prior_12_2.CSV", "Average Value Weighted Returns -- Monthly"
    )
    growth = (1.0 + said.rename(columns=PORTFOLIOS) / 100.0).cumprod()
    prices = {name: [100.0, *(100.0 * growth[name])] for name in PORTFOLIOS.values()}
    return panel_of(prices, first="1928-01")


def test_fixed_halves_earn_the_published_factor_in_every_month(panel: Panel, published: Floats):
    portfolio = {"type": "long_short", "gross": 2.0, "weighting": "fixed", "fixed_weights": HALVES}
    cell = resolved_of(strategy_of(portfolio=portfolio), list(PORTFOLIOS.values()))
    said = research.run(cell, panel).backtest
    assert len(said.gross_return) == len(published) == MONTHS
    assert said.net_exposure == pytest.approx(np.zeros(MONTHS), abs=1e-15)
    assert said.gross_exposure == pytest.approx(np.full(MONTHS, 2.0), abs=1e-15)
    assert 100.0 * said.gross_return == pytest.approx(published, abs=0.01 + 1e-9, rel=0)
    assert said.net_return.tolist() == said.gross_return.tolist()


def test_the_two_highest_less_the_two_lowest_by_score_are_the_same_book(
    panel: Panel, published: Floats
):
    """Ranked by prior return alone, as he sorts: the selection finds the same four."""
    rank = {"S_HI": 2.0, "B_HI": 2.0, "S_MID": 1.0, "B_MID": 1.0, "S_LO": 0.0, "B_LO": 0.0}
    score = np.tile([rank[ticker] for ticker in panel.tickers], (len(panel.dates), 1))
    strategy = ranked({"type": "long_short", "gross": 2.0, "select": {"top_k": 2}})
    book = build(strategy, score, panel, universe_size=6)
    said = simulate(strategy, book, panel, np.full(len(panel.dates), np.nan))
    assert 100.0 * said.gross_return == pytest.approx(published, abs=0.01 + 1e-9, rel=0)
    assert (np.abs(100.0 * said.gross_return - published) > 0.004).any(), "his rounding shows"
