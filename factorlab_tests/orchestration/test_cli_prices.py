"""`factorlab prices` and `factorlab revisions`: what a user reads of prices, and what is drawn."""

from __future__ import annotations

import datetime as dt
import re
import shutil
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from factorlab_assets import schemas
from factorlab_assets.core.calendar import sessions
from factorlab_assets.core.suspects import SUSPECT_RULES
from factorlab_assets.sources.base import PRICE_SCHEMA
from factorlab_assets.store import Store, Version
from factorlab_assets.store_partitions import arrow_schema
from factorlab_tests import store_samples
from factorlab_tests.orchestration.conftest import MONTH, settings_in
from factorlab_tests.orchestration.test_cli import Command

MAY = "2024-05"
DAYS = sessions(dt.date(2024, 1, 2), dt.date(2024, 6, 28)).tolist()
HOSTILE = "[red]x[/red] <script>"


def bars(through: str, scale: float = 1.0, wrong: int | None = None) -> pa.Table:
    """Tickers A, B and C at 10.00, 10.01, …; A times `scale`, and doubled on one day."""
    rows = []
    for ticker in "ABC":
        for i, day in enumerate(d for d in DAYS if f"{d:%Y-%m}" <= through):
            close = (10 + i / 100) * (scale if ticker == "A" else 1.0)
            close *= 2 if ticker == "A" and i == wrong else 1
            rows.append({"ticker": ticker, "date": day, "volume": 1e3} | dict.fromkeys(
                ("open", "high", "low", "close"), close
            ))  # fmt: skip
    return pa.Table.from_pylist(rows, schema=PRICE_SCHEMA)


def put(store: Store, table: schemas.Table, version: Version, *rows: dict[str, Any]) -> None:
    """Store rows of a month's table, as its asset would."""
    key = {"month": version.month, "data_version_id": version.data_version_id}
    said = pa.Table.from_pylist([key | row for row in rows], schema=arrow_schema(table))
    passed = [store_samples.Verdict(version.month, check, True) for check in table.checks[1:]]
    done = store.write_partitions(table, said, {version.month: version.data_version_id}, passed)
    assert done[version.month].is_stored, done


@pytest.fixture(scope="module")
def factorlab(tmp_path_factory: pytest.TempPathFactory) -> Command:
    folder = tmp_path_factory.mktemp("prices")
    settings = settings_in(folder)
    env = {
        "DAGSTER_HOME": str(settings.dagster_home),
        "FACTORLAB_ROOT": str(folder),
        "FACTORLAB_DATA_DIR": str(settings.data_dir),
        "FACTORLAB_STRATEGIES_DIR": str(settings.strategies_dir),
        "FACTORLAB_UNIVERSES_FILE": str(settings.universes_file),
        "FACTORLAB_PRICE_RULES_FILE": str(folder / "prices.yaml"),
    }
    return Command(folder, env)


@pytest.fixture(scope="module")
def store(factorlab: Command) -> Store:
    return Store(factorlab.folder / "data" / "factorlab.duckdb", lock_timeout_s=10)


@pytest.fixture(scope="module")
def may(store: Store) -> Version:
    """May 2024, A doubled on one day; what its assets found is stored."""
    version = store_samples.ingest(store, bars(MAY, wrong=50), month=MAY)
    first, split, last = DAYS[0], DAYS[40], version.last_date
    told = {"evidence": HOSTILE, "known_at": last}
    put(
        store, schemas.PRICE_BASIS, version,
        {"ticker": "A", "first_date": first, "last_date": DAYS[39], "basis": "adjusted",
         "is_total_return_known": True} | told,
        {"ticker": "A", "first_date": split, "last_date": last, "basis": "price_only",
         "is_total_return_known": False} | told,
    )  # fmt: skip
    suspect = {"date": DAYS[50], "known_at": DAYS[51], "evidence": HOSTILE, "reason": "r"}
    put(
        store, schemas.SUSPECT_PRICES, version,
        suspect | {"ticker": "A", "kind": "spike", "severity": "error", "value": 2.0,
                   "expected": 1.0, "action": "drop", "old_close": 21.0, "new_close": None},
        suspect | {"ticker": "B", "kind": "volume", "severity": "info", "action": "keep",
                   "old_close": 10.5, "new_close": 10.5},
    )  # fmt: skip
    put(
        store, schemas.DISTRIBUTION_STATUS, version,
        {"ticker": "A", "ex_date": split, "amount": 0.05, "status": "missing",
         "carried": 0.0} | told,
    )  # fmt: skip
    put(
        store, schemas.ADJUSTED_PRICES, version,
        *({"ticker": "A", "date": day, "open": 10.0, "close": 10.0, "seen": 10.0, "growth": 1.25}
          for day in DAYS if day <= last),
    )  # fmt: skip
    return version


@pytest.fixture(scope="module")
def june(store: Store, may: Version) -> Version:
    """June: A's whole history is rescaled by a distribution, and its wrong close is repaired."""
    return store_samples.ingest(store, bars("2024-06", scale=0.98), month="2024-06")


def test_a_ticker_is_printed_with_its_basis_suspects_and_distributions_and_drawn(
    factorlab: Command, may: Version
) -> None:
    done = factorlab("prices", "show", "a", "--month", MAY)
    assert done.returncode == 0, done.stderr
    said = done.stdout
    assert f"A  {may.data_version_id}  stooq-files, close" in said
    assert re.search(rf"with distributions +{DAYS[0]} +{DAYS[39]} +known\n +\[red\]x\[/red\]", said)
    assert re.search(rf"price only +{DAYS[40]} +{may.last_date} +not known", said)
    assert "1 suspect: 1 spike" in said
    assert re.search(rf"A +{DAYS[50]} +spike +error +drop +21 +– +{DAYS[51]}", said)
    assert "1 distribution: 1 missing" in said
    # The total return is known up to the fortieth bar alone, so the line ends there.
    assert re.search(rf"{may.last_date} +11.04 +11.04 +10 +– +1,000", said)
    (path,) = re.findall(r"^picture +(.+)$", said, re.MULTILINE)
    assert Path(path) == factorlab.folder / "data" / "reports" / f"prices_{MAY}_A.svg"
    drawn = ElementTree.fromstring(Path(path).read_text())
    texts = [text.text for text in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert {"12.5 total return", "11.04 close", "1 error"} <= set(texts)
    assert [p.name for p in Path(path).parent.iterdir()] == [Path(path).name], "nothing unfinished"


def test_days_choose_what_is_shown(factorlab: Command, may: Version) -> None:
    words = ("prices", "show", "A", "--month", MAY)
    before = factorlab(*words, "--to", str(DAYS[30])).stdout
    assert re.search(rf"{DAYS[30]} +10.3 +10.3 +10 +12.5 +1,000", before)
    after = factorlab(*words, "--from", str(DAYS[60])).stdout
    assert "0 suspects" in after
    assert "0 distributions" in after


def test_what_is_not_computed_yet_is_said_and_the_rest_is_shown(
    factorlab: Command, may: Version, june: Version
) -> None:
    said = factorlab("prices", "show", "A").stdout  # of the latest month
    assert june.data_version_id in said
    assert "no price_basis: nothing is stored" in said
    assert "suspects" not in said.replace("no suspect_prices", "")
    assert "picture" in said


def test_tables_of_another_data_version_are_not_taken_for_this_ones(
    factorlab: Command, store: Store, may: Version, tmp_path: Path
) -> None:
    own = shutil.copy(store.path, tmp_path / "own.duckdb")
    again = store_samples.ingest(Store(own, lock_timeout_s=10), bars(MAY, wrong=51), month=MAY)
    env = {"FACTORLAB_DATABASE": str(own)}
    said = factorlab("prices", "suspects", "--month", MAY, **env).stdout
    assert again.data_version_id in said
    assert f"no suspect_prices: computed from {may.data_version_id}" in said
    assert "spike" not in said


def test_suspects_are_listed_worst_first_by_kind_and_ticker(
    factorlab: Command, may: Version
) -> None:
    said = factorlab("prices", "suspects", "--month", MAY).stdout
    assert "2 suspects" in said
    assert said.index("spike  ") < said.index("volume ")
    assert (
        "1 suspect: 1 volume"
        in factorlab("prices", "suspects", "--month", MAY, "--kind", "volume").stdout
    )
    assert (
        "1 suspect: 1 spike"
        in factorlab("prices", "suspects", "--month", MAY, "--ticker", "A").stdout
    )
    assert (
        "1 more: --limit 2"
        in factorlab("prices", "suspects", "--month", MAY, "--limit", "1").stdout
    )
    of_market = factorlab("prices", "suspects", "--month", MAY, "--ticker", "^MARKET")
    assert "0 suspects" in of_market.stdout, "no ticker, but the list names it as one"


def test_a_version_is_no_third_one_beside_itself(
    factorlab: Command, may: Version, june: Version
) -> None:
    two = [may.data_version_id, june.data_version_id]
    for third in two:
        told = factorlab.refused("prices", "reconcile", *two, "--third", third)
        assert "cannot say of itself" in told


def test_two_versions_are_reconciled(factorlab: Command, may: Version, june: Version) -> None:
    done = factorlab("prices", "reconcile", may.data_version_id, june.data_version_id)
    assert re.search(r"price +1 +0 +0 +0", done.stdout), "here is odd once"
    assert re.search(rf"A +{DAYS[50]} +price +here +\+100", done.stdout)
    same = factorlab("prices", "reconcile", may.data_version_id, may.data_version_id)
    assert "no differences" in same.stdout


def test_revisions_tell_the_causes(factorlab: Command, may: Version, june: Version) -> None:
    done = factorlab("revisions", "--month", "2024-06")
    assert done.returncode == 0, done.stderr
    assert re.search(r"distribution +1 +1 +\d+ +\+0.00%", done.stdout)
    assert re.search(rf"A +{DAYS[50]} +{DAYS[50]} +repair +1 +\+100", done.stdout)
    assert f"no finished experiment rests on {may.data_version_id}" in done.stdout
    assert "all closes × 0.98" in done.stdout


def test_the_rules_are_printed_with_thresholds_and_actions(factorlab: Command) -> None:
    said = factorlab("prices", "rules").stdout
    assert [said.count(f"\n{kind}  action: ") for kind in schemas.SUSPECT_KINDS] == [1] * 10
    assert SUSPECT_RULES["spike"][0].reason.split()[0] in said
    assert re.search(r"spike +action: replace", said)
    assert "(no file: the defaults)" in said
    rules = factorlab.folder / "prices.yaml"
    rules.write_text("actions: {spike: keep}\nmixed_basis: block\n")
    try:
        said = factorlab("prices", "rules").stdout
        assert re.search(r"spike +action: keep", said)
        assert "mix bases: block" in said
        rules.write_text("actions: {spoke: keep}\n")
        assert "spoke" in factorlab.refused("prices", "rules")
    finally:
        rules.unlink()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("show ZZZ", "no bars of that ticker"),
        ("show ../../x", "no ticker"),
        ("show [red]x", "no ticker. Got: '[red]x'"),
        ("show A --month 2023-01", "no prices for that month"),
        ("show A --month 2024-13", "that is no month"),
        ("show A --from yesterday", "no day"),
        ("show A --from 2025-01-01", "no bars of that ticker between those days"),
        ("suspects --kind spoke", "no such kind"),
        ("suspects --ticker ZZZ", "no bars of that ticker"),
        ("reconcile x y", "no data version"),
        ("reconcile 2024-05-000000000000 2024-05-000000000000", "no such data version"),
    ],
)
def test_what_cannot_be_shown_is_one_paragraph(
    factorlab: Command, may: Version, words: str, told: str
) -> None:
    assert told in factorlab.refused("prices", *words.split())


def test_the_first_version_has_nothing_to_be_compared_with(
    factorlab: Command, may: Version, june: Version, tmp_path: Path
) -> None:
    assert "first data version" in factorlab.refused("revisions", "--month", MAY)
    against = ("revisions", "--month", MAY, "--against", june.data_version_id)
    assert "later month" in factorlab.refused(*against)
    empty = {"FACTORLAB_DATABASE": str(tmp_path / "new.duckdb")}
    assert "no prices yet" in factorlab.refused("revisions", **empty)
    assert "no prices yet" in factorlab.refused("prices", "show", "A", **empty)


def test_versions_of_two_sources_are_no_restatement(factorlab: Command, tmp_path: Path) -> None:
    own = Store(tmp_path / "own.duckdb", lock_timeout_s=10)
    for month, source in ((MAY, "stooq-files"), ("2024-06", "alphavantage")):
        store_samples.ingest(own, bars(month), month=month, source=source)
    done = factorlab("revisions", FACTORLAB_DATABASE=str(own.path))
    assert "these are two sources, and no restatement" in " ".join(done.stdout.split())


def test_a_restatement_is_told_from_the_new_month_in_a_real_strategys_metrics(
    factorlab: Command, tmp_path: Path
) -> None:
    env = {"FACTORLAB_DATABASE": str(tmp_path / "own.duckdb")}
    for words in (("ingest",), ("run", "--strategy", "equal_weight_13")):
        done = factorlab(words[0], "--month", MONTH, *words[1:], **env)
        assert done.returncode == 0, done.stderr
    own = Store(tmp_path / "own.duckdb", lock_timeout_s=10)
    version = own.current_version(MONTH)
    assert version is not None
    with own.read() as con:
        rows = con.sql(
            "SELECT * EXCLUDE (month, data_version_id) FROM raw_prices "
            f"WHERE data_version_id = '{version.data_version_id}'"
        ).to_arrow_table()
    before = pc.less(rows["date"], dt.date(2008, 1, 2))
    scale = pc.if_else(before, 0.5, 1.0)  # as if every ticker had split two for one
    for name in ("open", "high", "low", "close"):
        rows = rows.set_column(rows.column_names.index(name), name, pc.multiply(rows[name], scale))
    later = own.add_version(
        MONTH,
        store_samples.Fetched(rows.cast(PRICE_SCHEMA), [store_samples.Coverage("SPY", "ok", 3)]),
        source="synthetic",
        price_basis="synthetic",
        distributions=None,
        observed_at=dt.datetime(2012, 7, 1),
        is_survivors=False,
        verdicts=[store_samples.Verdict("", c, True) for c in ("coverage", "freshness")],
    )
    done = factorlab("revisions", **env)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("SYNTHETIC") == 2
    assert re.search(r"split +13 +13 ", done.stdout)
    cells = re.findall(r"equal_weight_13 +cagr +(\S+) +(\S+) +(\S+) +(\S+)", done.stdout)
    ((then, *changes, now),) = cells
    stored = own.load(schemas.METRICS, [f"{MONTH}|equal_weight_13"]).to_pylist()
    (full,) = [row for row in stored if row["segment"] == "full"]
    assert then == f"{full['cagr']:+.2%}"
    by_history, by_new_months = (float(change.rstrip("%")) for change in changes)
    assert by_history > 0
    assert by_new_months == 0, "the same month: there is no new one"
    gone = float(now.rstrip("%")) - float(then.rstrip("%"))
    assert gone == pytest.approx(by_history, abs=0.011), "but for rounding"
    assert later.data_version_id in done.stdout
