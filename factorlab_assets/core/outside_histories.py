"""A user's own panels beside altered price histories: cut short, and with another future.

Belongs here: what the proof's histories know of these panels. Does not: altering prices
(`histories`), which value counts at a date (`outside`), or judging a strategy (`trial`).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from factorlab_assets.core import outside
from factorlab_assets.core.histories import Cut, Histories, Pulse
from factorlab_assets.core.panel import Panel

FAR = 1e3
"""What altered values are multiplied by, their sign turned."""


def with_outside(histories: Histories, rows: pa.Table) -> Histories:
    """The histories with the user's own panels, as each of them knows them.

    - Truncation: no row that became available after the cut.
    - Wild future: of such rows every third is missing and the others say −1000 times as much; and
      on the day after the cut everything that was known is restated, likewise.
    - Pulses, gaps, noise: as it is; these panels follow from no price.

    Parameters
    ----------
    rows : as `outside` takes them.
    """
    if rows.num_rows == 0:
        return histories
    names = pc.unique(rows["panel"]).to_pylist()
    own = pa.array(histories.base.tickers.tolist())
    rows = rows.filter(pc.is_in(rows["ticker"], own))

    def beside(panel: Panel, known: pa.Table) -> Panel:
        # A panel of which nothing is known yet is there all the same: nobody is refused for it.
        nothing = {name: np.full(panel.seen.shape, np.nan) for name in names}
        return outside.beside(replace(panel, outside=nothing), known)

    def pulsed(pulse: Pulse) -> Pulse:
        calm, moved, gapped = (beside(p, rows) for p in (pulse.calm, pulse.moved, pulse.gapped))
        return replace(pulse, calm=calm, moved=moved, gapped=gapped)

    cuts = (replace(cut, panel=beside(cut.panel, _altered(cut, rows))) for cut in histories.cuts)
    noises = (beside(noise, rows) for noise in histories.noises)
    return Histories(
        beside(histories.base, rows),
        tuple(cuts),
        tuple(map(pulsed, histories.pulses)),
        tuple(noises),
    )


def _altered(cut: Cut, rows: pa.Table) -> pa.Table:
    """The rows that a history knows which was altered beyond a cut."""
    by_then = pc.less_equal(rows["date_avail"], pa.scalar(cut.day.item(), pa.date32()))
    known, later = rows.filter(by_then), rows.filter(pc.invert(by_then))
    if cut.part == "truncation":
        return known
    return pa.concat_tables([known, *_wild(cut.day, known, later)])


def _wild(day: np.datetime64, known: pa.Table, later: pa.Table) -> tuple[pa.Table, pa.Table]:
    """The rows to come, others than they were, and the restatement of those that were known."""
    kept = np.flatnonzero(np.arange(later.num_rows) % 3 != 2)
    # Of a period that was told more than once the last word is restated: one row per period.
    newest = known.group_by(["panel", "ticker", "date"], use_threads=False).aggregate(
        [("value", "last")]
    )
    morrow = pa.repeat(pa.scalar((day + 1).item(), pa.date32()), newest.num_rows)
    restated = newest.rename_columns(["panel", "ticker", "date", "value"]).append_column(
        "date_avail", morrow
    )
    return _far(later.take(kept)), _far(restated.select(later.column_names))


def _far(rows: pa.Table) -> pa.Table:
    column = rows.column_names.index("value")
    return rows.set_column(column, "value", pc.multiply(rows["value"], -FAR))
