"""`factorlab factors`: the list, one factor in full, and the prices that it is drawn on."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from factorlab_assets import factor_sample
from factorlab_assets.core import factors
from factorlab_assets.settings import Settings
from factorlab_assets.store import Store
from factorlab_tests.orchestration.conftest import MONTH, Project, settings_in
from factorlab_tests.orchestration.test_cli import Command


def command(settings: Settings) -> Command:
    env = {
        "DAGSTER_HOME": str(settings.dagster_home),
        "FACTORLAB_ROOT": str(settings.root),
        "FACTORLAB_DATA_DIR": str(settings.data_dir),
        "FACTORLAB_UNIVERSES_FILE": str(settings.universes_file),
    }
    return Command(Path(settings.root), env)


@pytest.fixture(scope="module")
def factorlab(tmp_path_factory: pytest.TempPathFactory) -> Command:
    """Nothing is stored."""
    return command(settings_in(tmp_path_factory.mktemp("factors")))


def picture_of(said: str) -> str:
    found = re.search(r"^picture +(\S+)$", said, re.MULTILINE)
    assert found is not None, said
    return Path(found[1]).read_text()


def test_the_list_names_every_factor_with_family_window_and_defaults(factorlab: Command) -> None:
    listed = factorlab("factors").stdout
    for family, specs in factors.FAMILIES.items():
        for spec in specs:
            assert re.search(rf"^{spec.name} +{family} +\S", listed, re.MULTILINE)
    assert re.search(r"^xsmom +momentum +P\[t−12\] … P\[t−1\]$", listed, re.MULTILINE)
    assert "(lookback 12, skip 1)" in listed
    assert re.search(r"^beta +defensive +daily P\[t−61\] … P\[t−1\]$", listed, re.MULTILINE)
    assert re.search(r"^characteristic +outside +X\[t\]\n.*\(panel\)$", listed, re.MULTILINE)


def test_a_factor_in_full_says_all_that_the_registry_knows(factorlab: Command) -> None:
    done = factorlab("factors", "residual_momentum")
    assert done.returncode == 0
    said, spec = " ".join(done.stdout.split()), factors.REGISTRY["residual_momentum"]
    for told in (
        spec.summary,
        spec.formula,
        spec.paper,
        spec.doi,
        "default 36, 12 to 120",
        "ticker of the market: default SPY",
        "+1: the quantity as it is",
        "delay 0; a signal of date t uses P[t−36] … P[t]",
        "the first value takes 37 month-ends",
        "here on the market alone",
    ):
        assert told in said
    assert "Raises" not in factorlab("factors", "characteristic").stdout


def test_without_a_stored_month_the_prices_are_invented_and_say_so(factorlab: Command) -> None:
    done = factorlab("factors", "trend", "--param", "lookback=6")
    assert "SYNTHETIC: invented prices." in done.stdout
    assert "P[t−7] … P[t−1]" in done.stdout
    drawn = picture_of(done.stdout)
    assert "SYNTHETIC</text>" in drawn
    assert "lookback 6; 6 tickers" in drawn
    assert drawn == picture_of(factorlab("factors", "trend", "--param", "lookback=6").stdout)


def test_the_figures_below_are_those_of_the_picture(factorlab: Command) -> None:
    said = factorlab("factors", "trend").stdout
    drawn = picture_of(said)
    heads = re.search(r"highest +(\S+) +price +(\S+) +price$", said, re.MULTILINE)
    last = re.search(r"^2024-05 +(.+)$", said, re.MULTILINE)
    assert heads is not None
    assert last is not None
    figures = last[1].replace("-", "−").split()
    high, price, low, low_price = figures[5:]
    assert figures[4] == high
    assert figures[0] == low
    for label in (f"{high} {heads[1]}", f"{price} {heads[1]}", f"{low} {heads[2]}"):
        assert f">{label}</text>" in drawn
    assert f">{low_price} {heads[2]}</text>" in drawn


@pytest.mark.parametrize("name", factors.REGISTRY)
def test_every_factor_has_values_on_the_invented_prices(name: str, tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    store = Store(settings.database_path)
    sample = factor_sample.of(store, settings, factors.REGISTRY[name], {})
    dates, tickers, prices, values = sample.series
    assert sample.basis == "synthetic"
    assert values.shape == prices.shape == (len(dates), len(tickers))
    assert (values == values)[-1].all()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("no_such",), "unknown factor. Got: 'no_such'. Expected: one of trend, "),
        (("trend", "--param", "lookback=0"), "parameter lookback: got 0, allowed a whole number"),
        (("trend", "--param", "lookback"), "that is no parameter. Got: 'lookback'"),
        (("trend", "--param", "back=6"), "no parameter back; there are lookback"),
        (("beta", "--param", "market=spy"), "parameter market: got 'spy'"),
        (("characteristic", "--param", "panel=Not/Allowed"), "parameter panel: got 'Not/Allowed'"),
    ],
)
def test_what_cannot_be_shown_is_one_paragraph(
    factorlab: Command, words: tuple[str, ...], told: str
) -> None:
    assert told in factorlab.refused("factors", *words)


def test_a_stored_month_is_what_a_factor_is_drawn_on(ingested: Project) -> None:
    factorlab = command(ingested.settings)
    for name in ("low_vol", "idio_vol"):
        done = factorlab("factors", name)
        assert done.returncode == 0, done.stderr
        assert f"data version {MONTH}-" in done.stdout
        assert "13 tickers" in picture_of(done.stdout)
    said = factorlab.refused("factors", "characteristic", "--param", "panel=book_to_price")
    assert "no panel of that name" in said
    invented = factorlab("factors", "characteristic").stdout
    assert "say --param panel=NAME for one of yours" in invented


def test_a_month_that_may_not_be_read_is_named_and_the_prices_invented(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    settings.database_path.parent.mkdir(parents=True)
    settings.database_path.write_text("no database")
    done = command(settings)("factors", "trend")
    assert done.returncode == 0
    assert "Note: no stored month: " in done.stdout
    assert "SYNTHETIC" in done.stdout
