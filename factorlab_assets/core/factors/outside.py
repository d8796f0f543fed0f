"""Factors from outside: a user's own numbers, fundamentals or anything else.

Belongs here: reading them as they are. Does not: when a value is known (who made the panel knows).
"""

from __future__ import annotations

from factorlab_assets.core.factors.base import Data, FactorSpec, Param, Params
from factorlab_assets.core.panel import Floats
from factorlab_assets.errors import FactorLabError
from factorlab_assets.schemas import PANEL_PATTERN


def characteristic(data: Data, params: Params) -> Floats:
    """x_t: the newest value of the panel that was available at t's close, in its own unit.

    What is attractive when low is given a negative weight. A value counts from its date_avail on
    until a newer one does, so that no delay is needed. Fama and French (1992) let six months and
    more pass between a fiscal year and the use of its accounts.

    Raises
    ------
    FactorLabError : the data version has no panel of that name.
    """
    if data.outside is None:
        raise FactorLabError(
            "no characteristic of that name",
            where="factor characteristic: panel",
            got=params["panel"],
            expected="a panel that was ingested with the prices",
            do="ingest the month again with --characteristics, or correct the name",
        )
    return data.outside.copy()


FACTORS = (
    FactorSpec(
        name="characteristic",
        summary="Value of a user's own panel, as it was available at the date.",
        formula="X[t], the newest value with date_avail ≤ t",
        compute=characteristic,
        params=(Param("panel", "", meaning="name of the panel", pattern=PANEL_PATTERN),),
        delay=0,
        sign=1,
        paper="Fama, French (1992), The Cross-Section of Expected Stock Returns, "
        "Journal of Finance 47(2), 427-465",
        doi="10.1111/j.1540-6261.1992.tb04398.x",
        first=lambda _: 0,
        last=lambda _: 0,
        reads="outside",
    ),
)
