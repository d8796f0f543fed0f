"""Who belongs with whom at a date: groups of a universe, the small ones merged into larger.

Belongs here: from ticker -> group to codes per date. Does not: what is done within a group
(`transforms`), or what the groups are (`data/universes.yaml`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from graphlib import TopologicalSorter

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.int16]

WHOLE = -1
"""The code of a name that counts to the whole cross-section: it is compared with everyone."""
LEAST = 3
"""Of fewer known names a group is none: demeaning a single name would zero it for ever."""


def group_codes(
    tickers: Iterable[str],
    groups: Mapping[str, str],
    merge: Mapping[str, str],
    known: npt.NDArray[np.bool_],
) -> Codes:
    """The group that each name counts to at each date, as a code.

    A group with fewer than three known names at a date counts to `merge[group]`, and that one,
    together with what merged into it, by the same rule to its own; without a larger group to count
    to, to the whole cross-section. So does a ticker without a group.

    Parameters
    ----------
    tickers : of the N columns. groups : ticker -> group. merge : small group -> larger, no circle.
    known : (..., T, N), whose value is known at a date.

    Returns
    -------
    (..., T, N): one code per group, or `WHOLE`. Names that are not known have a code too.

    Examples
    --------
    >>> groups = {"SPY": "Equity", "QQQ": "Equity", "IWM": "Equity", "LQD": "Credit"}
    >>> group_codes([*groups, "BTC"], groups, {"Credit": "Rates"}, np.ones((1, 5), dtype=bool))
    array([[ 1,  1,  1, -1, -1]], dtype=int16)
    >>> group_codes([*groups, "BTC"], groups, {"Credit": "Equity"}, np.ones((1, 5), dtype=bool))
    array([[ 1,  1,  1,  1, -1]], dtype=int16)
    """
    order = TopologicalSorter(dict.fromkeys(sorted(set(groups.values())), ()))
    for small, large in merge.items():
        order.add(large, small)  # after whatever counts to it
    number = {group: code for code, group in enumerate(order.static_order())}
    own = [number.get(groups.get(str(ticker), ""), WHOLE) for ticker in tickers]
    codes = np.broadcast_to(np.array(own, dtype=np.int16), known.shape)
    for group, code in number.items():
        is_own = codes == code
        is_small = np.sum(is_own & known, axis=-1, keepdims=True) < LEAST
        larger = number[merge[group]] if group in merge else WHOLE
        codes = np.where(is_own & is_small, np.int16(larger), codes)
    return codes
