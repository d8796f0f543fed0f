"""Who counts to which group at a date, and what the shipped universe says of it."""

from __future__ import annotations

import numpy as np
import pytest

from factorlab_assets.core.groups import WHOLE, group_codes
from factorlab_assets.errors import FactorLabError
from factorlab_assets.strategy import Strategy, resolve
from factorlab_assets.universes import NamedUniverse, load_universes
from factorlab_tests.conftest import PROJECT_ROOT

ETF13 = load_universes(PROJECT_ROOT / "data" / "universes.yaml")["etf13"]
TICKERS = sorted(ETF13.tickers)


def together(known: list[str], merge: dict[str, str] | None = None) -> set[frozenset[str]]:
    """The groups of the shipped universe with these names alone known; a name that counts to the
    whole cross-section is in none."""
    merge = ETF13.merge if merge is None else merge
    (codes,) = group_codes(TICKERS, ETF13.tickers, merge, np.isin([TICKERS], known))
    named = {ticker: code for ticker, code in zip(TICKERS, codes, strict=True) if ticker in known}
    groups = {code: frozenset(t for t, c in named.items() if c == code) for code in named.values()}
    return {group for code, group in groups.items() if code != WHOLE}


EQUITY, BONDS = {"SPY", "QQQ", "IWM", "EFA", "EEM"}, {"TLT", "IEF", "SHY", "LQD", "HYG"}


def test_no_class_of_the_shipped_universe_is_below_three_names() -> None:
    assert together(TICKERS) == {
        frozenset(EQUITY),
        frozenset(BONDS),
        frozenset({"GLD", "DBC", "VNQ"}),
    }


def test_before_all_are_listed_small_classes_count_to_everyone() -> None:
    early = [ticker for ticker in TICKERS if ticker not in ("DBC", "HYG")]
    assert together(early) == {frozenset(EQUITY), frozenset(BONDS - {"HYG"})}


def test_without_a_map_small_classes_count_to_everyone() -> None:
    assert together(TICKERS, {}) == {frozenset(EQUITY), frozenset({"TLT", "IEF", "SHY"})}


@pytest.mark.parametrize(("n", "stands"), [(2, False), (3, True)])
def test_three_known_names_are_a_group_and_two_are_none(n: int, stands: bool) -> None:
    groups = dict.fromkeys("ABCD", "one") | dict.fromkeys("EFGH", "two")
    known = np.isin([list("ABCDEFGH")], list("ABCD"[:n]) + list("EFGH"))
    (codes,) = group_codes("ABCDEFGH", groups, {}, known)
    assert (codes[0] != WHOLE) == stands
    assert codes[4] != WHOLE
    assert len(set(codes.tolist())) == 2


def test_small_groups_reach_three_by_merging_and_go_on_where_they_do_not() -> None:
    groups = {"A": "a", "B": "a", "C": "b", "D": "c", "E": "c", "F": "c"}
    chain = {"a": "b", "b": "c"}

    def codes(known: str) -> list[int]:
        (row,) = group_codes("ABCDEF", groups, chain, np.isin([list("ABCDEF")], list(known)))
        return row.tolist()

    a, b, c, d, *_ = codes("ABCDEF")  # a's two and b's one are three
    assert a == b == c != d != WHOLE
    a, _, c, d, *_ = codes("ACDEF")  # a's one and b's one are two, and count to c
    assert a == c == d != WHOLE
    assert set(codes("ABDE")) != {WHOLE}  # a's two count to b, which with them counts to c: four
    assert codes("AD")[:4] == [WHOLE] * 4


def test_each_date_decides_for_itself() -> None:
    groups = dict.fromkeys("ABC", "one") | dict.fromkeys("DEF", "two")
    known = np.ones((3, 6), dtype=bool)
    known[1, 0] = False
    codes = group_codes("ABCDEF", groups, {"one": "two"}, known)
    assert codes[0].tolist() == codes[2].tolist()
    assert len(set(codes[0].tolist())) == 2
    assert len(set(codes[1].tolist())) == 1
    for t in range(3):
        alone = group_codes("ABCDEF", groups, {"one": "two"}, known[[t]])
        assert alone[0].tolist() == codes[t].tolist()


def test_groups_of_another_grouping_and_strangers_do_no_harm() -> None:
    groups = dict.fromkeys("ABC", "one") | {"Z": "elsewhere"}
    codes = group_codes("ABCX", groups, {"far": "away"}, np.ones((1, 4), dtype=bool))
    assert codes[0, 3] == WHOLE
    assert len(set(codes[0, :3].tolist())) == 1
    assert group_codes([], groups, {}, np.ones((2, 0), dtype=bool)).shape == (2, 0)


def test_groups_that_merge_in_a_circle_are_refused_with_their_place(tmp_path) -> None:
    path = tmp_path / "universes.yaml"
    path.write_text("mine: {tickers: {A: x, B: y, C: z}, merge: {x: y, y: z, z: x}}\n")
    with pytest.raises(
        FactorLabError, match=r"in a circle\. Where: .*yaml: mine\.merge\. Got: "
    ) as e:
        load_universes(path)
    assert "What to do: leave one of them out" in str(e.value)
    path.write_text("mine: {tickers: {A: x}, merge: {x: x}}\n")
    with pytest.raises(FactorLabError, match="in a circle"):
        load_universes(path)


def test_universes_taken_together_may_not_merge_in_a_circle_either() -> None:
    universes = {
        "one": NamedUniverse(tickers={"A": "x"}, merge={"x": "y"}),
        "two": NamedUniverse(tickers={"B": "y"}, merge={"y": "x"}),
    }
    everything = Strategy(name="s", description="-", universe={"of": "all"})
    with pytest.raises(
        FactorLabError, match=r"circle\. Where: strategy s: universe: merge of one, "
    ):
        resolve(everything, universes, {})
    resolve(Strategy(name="s", description="-", universe={"of": "one"}), universes, {})
