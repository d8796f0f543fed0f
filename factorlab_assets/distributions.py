"""Reading a user's file of cash distributions: ticker, ex_date, amount per share.

Belongs here: the file's format and its refusals. Does not: applying distributions to prices.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from pathlib import Path

import pandas as pd
import pyarrow as pa

from factorlab_assets.errors import FactorLabError
from factorlab_assets.schemas import TICKER_PATTERN

COLUMNS = ("ticker", "ex_date", "amount")


def read_distributions(
    path: Path, tickers: Collection[str], through: dt.date
) -> tuple[pa.Table, list[str]]:
    """The file's distributions with ex-dates up to `through`, of these tickers.

    Two amounts of one ticker on one day are added: a regular and a special distribution may fall
    together.

    Returns
    -------
    Table (ticker, ex_date date32, amount float64 per share), sorted; and a note for the user on
    what was left out, if anything.

    Raises
    ------
    FactorLabError : unreadable, other columns, or rows with a bad ticker, date or amount; the whole
        file is refused and the first such rows are shown, so that nothing is half applied.
    """
    try:
        rows = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise FactorLabError("the distributions cannot be read", where=path, got=error) from None
    if tuple(rows.columns) != COLUMNS:
        raise FactorLabError(
            "the distributions have other columns",
            where=path,
            got=", ".join(map(str, rows.columns)),
            expected=", ".join(COLUMNS),
        )
    amount = pd.to_numeric(rows["amount"], errors="coerce")
    ex_date = pd.to_datetime(rows["ex_date"], format="%Y-%m-%d", errors="coerce")
    wrong = ~rows["ticker"].str.fullmatch(TICKER_PATTERN) | ex_date.isna()
    wrong |= ~(amount > 0) | (amount == float("inf"))
    if wrong.any():
        first = [f"line {i + 2}: {','.join(rows.loc[i])}" for i in rows.index[wrong][:3]]
        raise FactorLabError(
            f"{int(wrong.sum())} rows of the distributions are not usable; nothing was applied",
            where=path,
            got="; ".join(first),
            expected="an upper-case ticker, an ex-date YYYY-MM-DD, an amount above 0 per share",
        )
    used = pd.DataFrame({"ticker": rows["ticker"], "ex_date": ex_date, "amount": amount})
    known = used["ticker"].isin(tickers)
    strangers = sorted(set(used["ticker"][~known]))
    notes = []
    if strangers:
        some = ", ".join(strangers[:5]) + (" …" if len(strangers) > 5 else "")
        notes.append(f"distributions of {len(strangers)} tickers without bars left out: {some}")
    used = used[known & (used["ex_date"] <= pd.Timestamp(through))]
    used = used.groupby(["ticker", "ex_date"])[["amount"]].sum().reset_index()
    used["split"] = 1.0
    schema = pa.schema(
        [
            ("ticker", pa.string()),
            ("ex_date", pa.date32()),
            ("amount", pa.float64()),
            ("split", pa.float64()),
        ]
    )
    used["ex_date"] = used["ex_date"].dt.date
    return pa.Table.from_pandas(used, schema=schema, preserve_index=False), notes
