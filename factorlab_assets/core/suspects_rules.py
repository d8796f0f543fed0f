"""The thresholds of every kind of suspect, and the reason for each.

Belongs here: words about figures. Does not: the figures, which stand where they are used.

"Seen" below means looked at by eye: the bars around a sample of what a threshold lets in and keeps
out, in an archive of 607 US ETFs of 2005 to 2024, and counts on planted errors.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from factorlab_assets.core import suspects_away as away
from factorlab_assets.core import suspects_grid as grid
from factorlab_assets.core import suspects_moves as moves
from factorlab_assets.core import suspects_peers as peers
from factorlab_assets.core import suspects_presence as presence
from factorlab_assets.core import suspects_ratios as ratios


class Rule(NamedTuple):
    """A threshold in words and figures, and why it is there."""

    figure: str
    reason: str

    def __str__(self) -> str:
        return f"{self.figure}: {self.reason}"


_HABIT = Rule(
    f"habits are of the {grid.PAST_BLOCKS} blocks of {grid.BLOCK} own bars before, two at least",
    "a year has every season of a ticker's trading; medians and quartiles over months do not "
    "notice one bad month, and nothing later moves them",
)
_RECENT = Rule(
    f"and {away.RECENT_TIMES:g} × the third largest move of the {away.RECENT} bars before; both "
    f"scaled up by what half the group moves beyond {away.QUIET:g} × its month's largest",
    "in a crash everything is beyond its habit: the findings that this took out of the archive "
    "were nearly all of 2008, 2011 and 2020, the two that a second vendor denied among them; an "
    "earlier wrong close makes two large moves, so the third counts",
)

SUSPECT_RULES: Mapping[str, tuple[Rule, ...]] = {
    "missing": (
        Rule(
            f"absent on ≤ {presence.ABSENT_RARELY:.0%} of the year before, and at least "
            f"{presence.USUAL_VOLUME:,} shares on the quietest days of ordinary months",
            "a ticker that always trades has a bar on every session; one that does not trade "
            "has none, and that is no error",
        ),
        Rule(
            f"or chance p^L ≤ {presence.RARE_GAP:g}, where p ≤ {presence.ABSENT_OFTEN:.0%} of the "
            "year was absent",
            "once in forty years of sessions; beyond one session in ten, absences come in runs and "
            "the chance means nothing",
        ),
        Rule(f"or L > {presence.LONG_GAP} sessions", "a month without a bar is a hole for anybody"),
        Rule(
            f"error if L > {presence.STALE_LIMIT}, warning if L > 1",
            "beyond five sessions a month-end has no price; a single session moves no month-end",
        ),
    ),
    "missing_market": (
        Rule(
            f"≥ {presence.MARKET_SHARE:.0%} of the tickers with a bar in the "
            f"{presence.ALIVE_SESSIONS} sessions before have none, of {grid.FEWEST_TICKERS} at "
            "least",
            "of real sessions the worst had 7 % without a bar, the one that is missing had 91 %",
        ),
    ),
    "stale": (
        Rule(
            f"L unchanged closes with p^L ≤ {presence.RARE_STALE:g}, p = the ticker's own share, "
            f"{presence.LEAST_UNCHANGED:.0%} at least",
            "four in a row for an ordinary ticker, a dozen for a bill fund that stands still on "
            "every third day",
        ),
        Rule(
            f"only where the close moves by {presence.LEAST_CHANGE:g} a day in an ordinary month",
            "a price that moves by less than its last digit stands still by rounding",
        ),
        _HABIT,
    ),
    "spike": (
        Rule(
            f"leaves and is back with the next bar: what is left ≤ {away.TURN_BACK:.0%} of the "
            f"move, or ≤ {away.TURN_NOISY_BACK:.0%} and ≤ {away.TURN_NOISE:g} sigma, if no second "
            f"half comes back within {away.BARS} bars",
            "two days of ordinary news are between them; planted spikes leave up to 40 % by it",
        ),
        Rule(
            f"≥ {away.TURN_SIGMAS:g} sigma of the {away.SIGMA_BARS} bars before, "
            f"≥ {away.TURN_SIGMAS_RELATED:g} where peers' returns are taken off",
            "below, more and more of those seen are noise that happens to turn; without the market "
            "sigma is smaller and the tails are fatter",
        ),
        Rule(
            f"without peers, {away.OVERNIGHT:g} of the way back is there at the next open, or "
            f"≥ {away.SURE_SIGMAS:g} sigma",
            "news turns through the day; a wrong close is denied by the next open",
        ),
        Rule(
            f"≥ {away.TURN_HABIT:g} × the largest turn of a month (third quartile)",
            "thin tickers bounce between bid and ask every month; theirs must be larger",
        ),
        Rule(f"≥ {away.TURN_LEAST:.1%}", "less does not matter to a month's return"),
        Rule(
            f"error from {moves.ERROR:.0%}, warning from {moves.WARNING:.0%}",
            "a month-end's ranks change with whole percents",
        ),
        _RECENT,
        _HABIT,
    ),
    "decimal": (
        Rule(
            f"a jump by 10, 100 or 1000, within a factor of e^{ratios.DECIMAL_SLACK:g}",
            "no ETF moves so in a day, and its own news of the day moves it less than the slack",
        ),
        Rule(
            f"by 10 only if back within {ratios.STAYS} bars",
            "ten that stays is a 1:10 split: told as such",
        ),
        Rule(
            f"by 100 or 1000 at once and for {ratios.STAYS} bars; the rest when it comes back "
            f"within {ratios.DECIMAL_BACK}",
            "no split has such a ratio; what stays longer than a quarter is a change of unit: told "
            "on its sixth bar for all that follow",
        ),
    ),
    "ohlc": (
        Rule(
            f"high < low, or open or close outside of them by {grid.OHLC_SLACK:g}",
            "impossible; less is rounding of an adjusted price",
        ),
        Rule(
            f"not if more than {presence.OHLC_HABIT:.0%} of the year's bars were so",
            "that is another convention of the source, and the list would hold nothing else",
        ),
    ),
    "volume": (
        Rule(
            f"below {presence.TINY_VOLUME:.1%} of the quietest day of an ordinary month, which has "
            f"{presence.USUAL_VOLUME:,} shares at least",
            "a ticker that trades every day does not stop for one; thin ones do, and are not told",
        ),
        _HABIT,
    ),
    "split": (
        Rule(
            f"a jump by 1.5, 2 to 8, 10, 15, 20, 25, 30, 40 or 50 or its inverse, within "
            f"{ratios.SPLIT_SLACK:.0%} or twice a month's largest move, "
            f"{ratios.SPLIT_MOST_SLACK:.0%} at most",
            "the ratios that funds use; the day's own return comes on top",
        ),
        Rule(
            f"at the open already, and all but {ratios.SPLIT_LEFT:.0%} of it there for "
            f"{ratios.STAYS} bars",
            "crashes of 50 % happen through the day, and wrong closes go away",
        ),
        Rule(
            f"≥ {ratios.SPLIT_RARITY:g} × a month's largest move, scaled up by the group's",
            "leveraged oil funds halved in 2020 with their market: no finding",
        ),
    ),
    "outlier": (
        Rule(
            f"a level left after two to {away.BARS} bars, all at once or by two halves: flat to "
            f"{away.RUN_FLAT:.0%}, back to {away.RUN_BACK:.0%} of the jump",
            "a wrong close told again for days; what stays longer is a level, and news",
        ),
        Rule(
            f"≥ {away.RUN_SIGMAS:g} sigma and {away.RUN_LEAST:.0%}, without the peers' returns "
            f"≥ {away.RUN_SIGMAS_RELATED:g} and {away.RUN_LEAST_RELATED:.0%}; "
            f"≥ {away.RUN_HABIT:g} × a month's largest",
            "two ordinary moves in one week may cancel: each must be rare",
        ),
        Rule(
            f"{away.OVERNIGHT:g} of both jumps are there at the open",
            "the file changes between two bars; markets move through the day",
        ),
        Rule("warning at most", "of those seen, half were markets in distress"),
        _RECENT,
        _HABIT,
    ),
    "peers": (
        Rule(
            f"{peers.N_PEERS} peers of a calendar year, by last year's correlation, "
            f"≥ {peers.CLOSE_CORRELATION:g} each ({peers.LEAST_CORRELATION:g} to take returns off)",
            "known before the year; the median of three bears one wrong price",
        ),
        Rule(
            f"apart from them by ≥ {moves.PEERS_SIGMAS:g} sigma, {moves.PEERS_LEAST:.1%} and "
            f"{moves.PEERS_HABIT:g} × a month's largest, {away.OVERNIGHT:g} of it at the open, "
            f"and so five bars later",
            "less is an ordinary dividend; what comes back is a spike or an outlier",
        ),
        Rule(
            f"while they move by at most {moves.PEERS_STILL:g} × the ticker's month's largest",
            "with a sector in turmoil its members part for good reasons",
        ),
        Rule(
            "info", "one fund's news and a missing distribution look the same: a hint, no verdict"
        ),
        _RECENT,
        _HABIT,
    ),
}
