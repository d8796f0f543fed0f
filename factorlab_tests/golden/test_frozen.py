"""Every shipped strategy's figures at 2024-05, frozen: on invented prices and on real ones.

Whoever changes a figure says why in CHANGELOG.md, and writes the figures anew:

    python -m factorlab_tests.golden.figures                      # synthetic_2024_05.json
    python -m factorlab_tests.golden.figures ../shared/data       # real_2024_05.json

Tolerance abs=1e-12: another processor may round a power or a logarithm's last bit otherwise. The
content hashes have none: of every table but `metrics`, which alone rests on powers. Strategies with
weights that are solved for have no hashes, and abs=1e-6: their linear algebra is the processor's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from factorlab_tests.golden.figures import figures, frozen


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return figures(tmp_path_factory.mktemp("synthetic"), "synthetic")


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> dict[str, Any]:
    path = shared_data / "stooq" / "bulk_2024"
    return figures(tmp_path_factory.mktemp("real"), "stooq-files", path)


def _same_metrics(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert found["metrics"].keys() == expected["metrics"].keys()
    for name, metrics in expected["metrics"].items():
        within = 1e-6 if name in expected["solved"] else 1e-12
        assert found["metrics"][name] == pytest.approx(metrics, rel=0, abs=within), name


def test_metrics_on_invented_prices_are_the_frozen_ones(synthetic: dict[str, Any]):
    _same_metrics(synthetic, frozen("synthetic"))


def test_metrics_on_real_prices_are_the_frozen_ones(real: dict[str, Any]):
    _same_metrics(real, frozen("real"))


def test_invented_prices_are_the_frozen_ones(synthetic: dict[str, Any]):
    assert synthetic["data_version_id"] == frozen("synthetic")["data_version_id"]


def test_every_other_table_is_the_frozen_one_to_the_last_bit(synthetic: dict[str, Any]):
    assert synthetic["hashes"] == frozen("synthetic")["hashes"]
