"""Laws of transforms, groups and combinations, whatever the values.

1. Permuting the tickers permutes the values.      2. NaN in, NaN out.
3. Later rows never change earlier ones by a bit.  4. Nobody but members has a value or moves one.
5. Residuals are orthogonal to every regressor.    6. Means of groups are 0.
7. Neutralizing twice is neutralizing once, and does not mind the regressors' location and scale.
8. Normal scores keep the order of ranks and turn over with the sign; MADs keep values in order.
9. A score of known signals lies between them; a condition keeps the share that it says.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factorlab_assets.core.combine import combine
from factorlab_assets.core.groups import WHOLE, group_codes
from factorlab_assets.core.panel import Panel
from factorlab_assets.core.signals import Signals, compute_signals
from factorlab_assets.core.transforms import (
    Context,
    apply,
    demean,
    neutralize,
    normal,
    winsorize_mads,
)
from factorlab_assets.strategy_signals import (
    Clip,
    Delay,
    Demean,
    Neutralize,
    Normal,
    Rank,
    Smooth,
    Winsorize,
    ZScore,
)
from factorlab_tests.small_panels import panel_of, resolved_of, strategy_of

CROSS = [
    Winsorize(lower=0.1, upper=0.8),
    Winsorize(mads=1.5),
    ZScore(),
    ZScore(within="sector"),
    Demean(),
    Demean(within="sector"),
    Rank(),
    Rank(within="sector"),
    Normal(),
    Neutralize(groups="sector"),
    Neutralize(factors=("x",)),
    Neutralize(groups="sector", factors=("x", "y")),
]
TIME = [Clip(low=-1.0, high=1.0), Delay(months=2), Smooth(months=2)]
chains = st.lists(st.sampled_from([*CROSS, *TIME]), min_size=1, max_size=4)
one = st.sampled_from([*CROSS, *TIME])


def law(*examples):
    """The test on every drawn example; a busy machine's slowness is no counterexample."""
    return lambda test: settings(deadline=None)(given(*examples)(test))


def bits(values: np.ndarray) -> bytes:
    """Every bit of what is known; not known may be written as either of two NaNs."""
    return np.where(np.isnan(values), np.nan, values).tobytes()


@st.composite
def situations(draw: st.DrawFn) -> tuple[np.ndarray, Context]:
    """(T, N) values with holes and the context to transform them in; T 1 to 8, N 1 to 14."""
    t, n = draw(st.tuples(st.integers(1, 8), st.integers(1, 14)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    scale = 10.0 ** draw(st.integers(-4, 4))
    holes = draw(st.sampled_from([0.0, 0.1, 0.5]))

    def drawn() -> np.ndarray:
        values = rng.normal(size=(t, n))
        values[rng.random((t, n)) < holes] = np.nan
        return values

    tickers = [f"T{i:02}" for i in range(n)]
    sectors = {x: f"s{rng.integers(4)}" for x in tickers if rng.random() < 0.9}
    merge = draw(st.sampled_from([{}, {"s0": "s1", "s2": "s1"}, {"s0": "s3", "s3": "rest"}]))
    members = draw(st.sampled_from([None, rng.random((t, n)) < 0.7]))
    raws = {"x": scale * drawn(), "y": drawn() - 3.0}
    return drawn(), Context(tickers, {"sector": sectors}, merge, raws, members)


def rows(context: Context, part: slice) -> Context:
    """The context of these dates alone."""
    members = context.members if context.members is None else context.members[part]
    return replace(
        context, members=members, raws={k: each[part] for k, each in context.raws.items()}
    )


@law(chains, situations(), st.randoms(use_true_random=False))
def test_permuting_tickers_permutes_values(chain, situation, random) -> None:
    values, context = situation
    order = list(range(values.shape[1]))
    random.shuffle(order)
    moved = replace(
        context,
        tickers=[context.tickers[i] for i in order],
        raws={k: each[:, order] for k, each in context.raws.items()},
        members=None if context.members is None else context.members[:, order],
    )
    # A rank is a step: what arithmetic before it makes equal, only rounding tells apart.
    if any(isinstance(each, Rank | Normal) for each in chain[1:]):
        return
    found, expected = apply(chain, values[:, order], moved), apply(chain, values, context)
    np.testing.assert_allclose(found, expected[:, order], atol=1e-9)


@law(one, situations())
def test_what_is_not_known_stays_unknown(transform, situation) -> None:
    values, context = situation
    found = apply([transform], values, context)
    lacking = np.isnan(values) if not isinstance(transform, Delay) else np.zeros(values.shape, bool)
    if context.members is not None:
        lacking = lacking | ~context.members
    assert np.isnan(found)[lacking].all()
    if transform in CROSS and not isinstance(transform, Neutralize):
        np.testing.assert_array_equal(np.isnan(found), lacking)


@law(chains, situations(), st.data())
def test_later_rows_never_change_earlier_ones_by_a_bit(chain, situation, data) -> None:
    values, context = situation
    cut = data.draw(st.integers(1, len(values)))
    whole = apply(chain, values, context)[:cut]
    short = apply(chain, values[:cut], rows(context, slice(cut)))
    assert bits(short) == bits(whole)
    wild = values.copy()
    wild[cut:] = data.draw(st.sampled_from([np.nan, 1e12, -1e-12]))
    assert bits(apply(chain, wild, context)[:cut]) == bits(short)


@law(st.lists(st.sampled_from(CROSS), min_size=1, max_size=3), situations())
def test_nobody_but_members_moves_a_value(chain, situation) -> None:
    values, context = situation
    if context.members is None:
        return
    wild = np.where(context.members, values, 1e9)
    raws = {k: np.where(context.members, v, np.nan) for k, v in context.raws.items()}
    found = apply(chain, wild, replace(context, raws=raws))
    np.testing.assert_array_equal(found, apply(chain, values, context))


@law(situations(), st.sampled_from([("x",), ("y", "x"), ()]), st.booleans())
def test_residuals_are_orthogonal_to_every_regressor(situation, labels, is_grouped) -> None:
    values, context = situation
    others = [context.raws[label] for label in labels]
    known = ~np.isnan(np.stack([values, *others])).any(axis=0)
    codes = context.codes("sector", known) if is_grouped else None
    found = neutralize(values, others, codes)
    for t, row in enumerate(found):
        k = ~np.isnan(row)
        group = np.zeros(k.sum()) if codes is None else codes[t, k]
        assert k.sum() == 0 or k.sum() > len(others) + len(set(group))
        if k.sum() == 0:
            continue
        columns = [demean(np.where(known, each, np.nan), codes)[t, k] for each in others]
        if set(group) == {WHOLE} or WHOLE not in group:
            columns += [each[t, k] for each in others] + [np.ones(k.sum())]
            columns += [(group == code).astype(float) for code in set(group)]
        else:  # a name that counts to everyone has no dummy
            columns += [(group == code).astype(float) for code in set(group) - {WHOLE}]
        for column in columns:
            size = np.linalg.norm(column) * np.linalg.norm(values[t, k])
            assert abs(row[k] @ column) <= 1e-10 * size


@law(situations(), st.sampled_from([Demean, ZScore]))
def test_means_of_groups_are_zero(situation, kind) -> None:
    values, context = situation
    found = apply([kind(within="sector")], values, context)
    seen = context.of_members(values)
    codes = context.codes("sector", ~np.isnan(seen))
    for t, row in enumerate(found):
        for code in set(codes[t]) - {WHOLE}:
            own = row[(codes[t] == code) & ~np.isnan(row)]
            assert len(own) == 0 or len(own) >= 3
            assert abs(own.sum()) <= 1e-10


@law(situations(), st.floats(0.1, 10), st.floats(-10, 10))
def test_neutralizing_is_done_once_and_minds_no_scale(situation, scale, shift) -> None:
    values, context = situation
    x, y = context.raws["x"], context.raws["y"]
    once = neutralize(values, [x, y])
    np.testing.assert_allclose(neutralize(once, [x, y]), once, atol=1e-9)
    np.testing.assert_allclose(neutralize(values, [x, scale * y + shift]), once, atol=1e-9)
    np.testing.assert_allclose(
        neutralize(values, [x, y, scale * x], None), _few(once, x, y), atol=1e-9
    )
    np.testing.assert_allclose(neutralize(values + 2.0 * x - y, [x, y]), once, atol=1e-6)


def _few(once: np.ndarray, *others: np.ndarray) -> np.ndarray:
    """Residuals where a regressor more leaves names enough."""
    count = np.sum(~np.isnan(once), axis=1, keepdims=True)
    return np.where(count > len(others) + 2, once, np.nan)


@law(situations())
def test_normal_scores_keep_order_and_turn_over(situation) -> None:
    values, _ = situation
    found = normal(values)
    np.testing.assert_allclose(normal(-values), -found, atol=1e-12)
    for row, scores in zip(values, found, strict=True):
        k = ~np.isnan(row)
        np.testing.assert_array_equal(np.argsort(row[k]), np.argsort(scores[k]))
        assert (np.abs(scores[k]) < 3.0).all(), "of fourteen names none is beyond three sigma"
        assert scores[k].sum() == pytest.approx(0.0, abs=1e-12)


@law(situations(), st.floats(0.1, 4.0))
def test_winsorizing_by_mads_stays_inside_and_keeps_the_order(situation, mads) -> None:
    values, _ = situation
    found = winsorize_mads(values, mads)
    np.testing.assert_allclose(winsorize_mads(-values, mads), -found, atol=1e-12)
    for row, clipped in zip(values, found, strict=True):
        before, after = row[~np.isnan(row)], clipped[~np.isnan(row)]
        larger = before[:, None] >= before[None, :]
        assert (after[:, None] >= after[None, :])[larger].all()
        assert len(before) == 0 or before.min() <= after.min() <= after.max() <= before.max()


RULES = [
    {},
    {"how": "rank_mean"},
    {"how": "inverse_volatility", "window": 6},
    {"how": "conditional", "condition": "b", "keep": 0.4},
]
rules = st.tuples(st.sampled_from(RULES), st.sampled_from(["require", "known", "neutral"]))


@st.composite
def markets(draw: st.DrawFn) -> tuple[Panel, np.ndarray | None]:
    """A panel of 12 to 24 months and 3 to 8 names with gaps and late repairs, and its members."""
    t, n = draw(st.tuples(st.integers(12, 24), st.integers(3, 8)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    price = 50 * np.exp(np.cumsum(rng.normal(0, 0.1, (t, n)), axis=0))
    price[rng.random((t, n)) < 0.05] = np.nan
    seen = np.where(rng.random((t, n)) < 0.1, 1.3 * price, price)
    panel = panel_of({f"T{i}": price[:, i] for i in range(n)})
    members = draw(st.sampled_from([None, np.isfinite(seen) & (rng.random((t, n)) < 0.8)]))
    return replace(panel, seen=seen), members


def resolved(rule, panel: Panel):
    """Three factors, one neutralized against another, under a rule."""
    how, missing = rule
    chain = [{"kind": "neutralize", "factors": ["b"]}, {"kind": "zscore", "within": "sector"}]
    factors = [
        {"name": "trend", "label": "a", "params": {"lookback": 2}, "transforms": chain, "delay": 0},
        {"name": "trend", "label": "b", "params": {"lookback": 1}, "delay": 0, "weight": 0.5},
        {"name": "xsmom", "label": "c", "params": {"lookback": 3}, "delay": 1, "weight": -1.0},
    ]
    strategy = strategy_of(factors=factors, combine={**how, "missing": missing})
    tickers = panel.tickers.tolist()
    sectors = {ticker: f"s{i % 2}" for i, ticker in enumerate(tickers)}
    return resolved_of(strategy, tickers).model_copy(update={"groups": {"sector": sectors}})


@law(rules, markets(), st.data())
def test_a_score_knows_nothing_of_later_rows_and_repairs(rule, market, data) -> None:
    panel, members = market
    cell = resolved(rule, panel)
    cut = data.draw(st.integers(2, len(panel.dates)))
    then = panel.until(panel.dates[cut - 1])
    price = then.price.copy()
    price[-1] = then.seen[-1]  # no repair of the last month-end is known yet
    then = replace(then, price=price, seen=np.vstack([then.seen[:-1], price[-1:]]))
    for_both = []
    for each, who in ((panel, members), (then, None if members is None else members[:cut])):
        made = compute_signals(cell, each, who)
        score = combine(cell, each, made, who)
        for_both.append((made.raw[:, :cut], made.signal[:, :cut], score[:cut]))
    for whole, short in zip(*for_both, strict=True):
        assert bits(whole) == bits(short)


@law(rules, markets(), st.randoms(use_true_random=False))
def test_permuting_names_permutes_scores(rule, market, random) -> None:
    panel, members = market
    order = list(range(len(panel.tickers)))
    random.shuffle(order)
    cell = resolved(rule, panel)
    sectors = cell.groups["sector"]
    names = panel.tickers.tolist()
    moved = {name: sectors[names[i]] for name, i in zip(names, order, strict=True)}
    other = cell.model_copy(update={"groups": {"sector": moved}})
    values = {k: getattr(panel, k)[:, order] for k in ("price", "seen", "mark")}
    shuffled = replace(panel, **values)
    who = members if members is None else members[:, order]
    expected = combine(cell, panel, compute_signals(cell, panel, members), members)
    found = combine(other, shuffled, compute_signals(other, shuffled, who), who)
    np.testing.assert_allclose(found, expected[:, order], atol=1e-9)


@law(rules, markets())
def test_nobody_but_members_has_a_score(rule, market) -> None:
    panel, members = market
    if members is None:
        return
    cell = resolved(rule, panel)
    made = compute_signals(cell, panel, members)
    assert np.isnan(made.signal[:, ~members]).all()
    score = combine(cell, panel, made, members)
    assert np.isnan(score[~members]).all()
    # not even where the signals were made without them
    everyone = compute_signals(cell, panel)
    assert np.isnan(combine(cell, panel, everyone, members)[~members]).all()


@law(markets(), st.sampled_from(["known", "neutral"]))
def test_a_mean_lies_between_the_signals_that_are_known(market, missing) -> None:
    panel, _ = market
    rng = np.random.default_rng(0)
    signal = rng.normal(size=(3, *panel.price.shape))
    signal[rng.random(signal.shape) < 0.3] = np.nan
    factors = [{"name": "trend", "label": x, "delay": 0, "weight": 2.0} for x in "abc"]
    cell = resolved_of(
        strategy_of(factors=factors, combine={"missing": missing}), panel.tickers.tolist()
    )
    score = combine(cell, panel, Signals(("a", "b", "c"), signal, signal))
    known = ~np.isnan(signal).all(axis=0)
    if missing == "known":
        np.testing.assert_array_equal(~np.isnan(score), known)
        low, high = (f(np.where(known, signal, 0.0), axis=0) for f in (np.nanmin, np.nanmax))
        assert ((score >= low - 1e-12) & (score <= high + 1e-12))[known].all()
    else:
        assert not (~np.isnan(score) & ~known).any()


@law(markets(), st.floats(0.05, 0.95))
def test_a_condition_keeps_the_share_that_it_says(market, keep) -> None:
    panel, members = market
    rule = ({"how": "conditional", "condition": "b", "keep": keep}, "known")
    cell = resolved(rule, panel)
    made = compute_signals(cell, panel, members)
    score = combine(cell, panel, made, members)
    condition, others = made.signal[1], made.signal[[0, 2]]
    for t, row in enumerate(score):
        has = ~np.isnan(row)
        ranked = np.sort(condition[t][~np.isnan(condition[t])])[::-1]
        if not len(ranked):
            assert not has.any()
            continue
        last = ranked[max(int(np.floor(keep * len(ranked) + 1e-9)), 1) - 1]
        is_scored = ~np.isnan(others[:, t]).all(axis=0)
        np.testing.assert_array_equal(has, is_scored & (condition[t] >= last))


@law(situations())
def test_codes_follow_the_tickers_and_stand_on_three(situation) -> None:
    values, context = situation
    known = ~np.isnan(values)
    codes = group_codes(context.tickers, context.groups["sector"], context.merge, known)
    for row, who in zip(codes, known, strict=True):
        for code in set(row[who]) - {WHOLE}:
            assert np.sum((row == code) & who) >= 3
    back = group_codes(
        context.tickers[::-1], context.groups["sector"], context.merge, known[:, ::-1]
    )
    np.testing.assert_array_equal(back[:, ::-1][known], codes[known])
