"""Size and liquidity factors: what is small or hard to trade as an attraction.

Belongs here: proxies by prices and volumes, dollar volume being close times volume as the source
has them. Does not: shares outstanding, or what trading costs (`core.costs`).
"""

from __future__ import annotations

import numpy as np

from factorlab_assets.core.factors.base import Data, FactorSpec, Param, Params
from factorlab_assets.core.factors.days import Block, daily_returns, over_columns, total
from factorlab_assets.core.panel import Floats

MILLION = 1e6


def dollar_volume(data: Data, params: Params) -> Floats:
    """−ln(mean dollar volume a day) over the sessions of months t−L+1 … t: how small it is.

    A proxy of size: no shares outstanding are looked at. Log dollars; unlike other factors it
    depends on the scale of prices. The mean is over the days with a volume, at least half of these
    sessions; unknown where nothing was traded. Brennan, Chordia and Subrahmanyam (1998) take the
    log of the month's dollar volume, of the second to last month: what L = 1 and a delay of 1 are.
    """

    def smallness(block: Block) -> Floats:
        volume = block.dollar_volume
        traded = total(block.by_month(volume), params["lookback"])
        days = total(block.by_month(np.isfinite(volume) * 1.0), params["lookback"])
        known = block.is_half_known(volume, params["lookback"]) & (traded > 0.0)
        return np.where(known, 0.0 - np.log(traded / days), np.nan)

    return over_columns(data, params["lookback"] - 1, smallness)


def amihud(data: Data, params: Params) -> Floats:
    """10⁶ · mean(|r_d| / dollar volume_d) over the sessions of months t−L+1 … t: illiquidity.

    Return per million dollars traded. The mean is over the days with a return and a volume above 0,
    at least half of these sessions. A proxy of size too: what is small moves more per dollar. Its
    unit is dollars of the day, so that it falls as prices rise over the years; a ranking does not
    mind. Amihud (2002) takes a year and at least 200 days of it.
    """

    def illiquidity(block: Block) -> Floats:
        # Over no volume it is infinite or nothing, and neither is known.
        moved = np.abs(daily_returns(block.close)) / block.dollar_volume
        days = total(block.by_month(np.isfinite(moved) * 1.0), params["lookback"])
        value = MILLION * total(block.by_month(moved), params["lookback"]) / days
        return np.where(block.is_half_known(moved, params["lookback"]), value, np.nan)

    return over_columns(data, params["lookback"], illiquidity)


FACTORS = (
    FactorSpec(
        name="dollar_volume",
        summary="Minus the log of the mean dollar volume a day: small, as far as volume tells.",
        formula="−ln(mean(C[d]·volume[d])), sessions d of months t−L+1 … t",
        compute=dollar_volume,
        params=(Param("lookback", 1, 1, 60, "L, months of daily volumes"),),
        delay=1,
        sign=-1,
        paper="Brennan, Chordia, Subrahmanyam (1998), Alternative factor specifications, security "
        "characteristics, and the cross-section of expected stock returns, "
        "Journal of Financial Economics 49(3), 345-373",
        doi="10.1016/S0304-405X(98)00028-2",
        first=lambda params: params["lookback"] - 1,
        last=lambda _: 0,
        reads="bars",
    ),
    FactorSpec(
        name="amihud",
        summary="Mean daily move per million dollars traded: illiquidity.",
        formula="10⁶·mean(|C[d] / C[d−1] − 1| / (C[d]·volume[d])), d of months t−L+1 … t",
        compute=amihud,
        params=(Param("lookback", 12, 1, 60, "L, months of daily returns and volumes"),),
        delay=1,
        sign=1,
        paper="Amihud (2002), Illiquidity and stock returns: cross-section and time-series "
        "effects, Journal of Financial Markets 5(1), 31-56",
        doi="10.1016/S1386-4181(01)00024-6",
        first=lambda params: params["lookback"],
        last=lambda _: 0,
        reads="bars",
    ),
)
