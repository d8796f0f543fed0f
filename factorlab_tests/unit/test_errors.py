"""An error is one paragraph of up to five parts, in one order."""

from __future__ import annotations

import pickle

import pytest

from factorlab_assets.errors import FactorLabError, RefusedError, StoreBusyError


def test_the_parts_come_in_order_with_their_labels() -> None:
    error = FactorLabError(
        "bad lookback", do="correct it", expected="1 to 120", got=0, where="a.yaml: factors[0]"
    )
    assert str(error) == (
        "bad lookback. Where: a.yaml: factors[0]. Got: 0. Expected: 1 to 120. "
        "What to do: correct it."
    )
    assert error.what == "bad lookback"


def test_parts_that_are_not_given_are_left_out() -> None:
    assert str(FactorLabError("no such month", got="2024-13")) == "no such month. Got: 2024-13."


def test_text_of_many_lines_becomes_one_paragraph_with_single_full_stops() -> None:
    error = FactorLabError("the file is\n   broken.", got=ValueError("line 3:\n\tbad."))
    assert str(error) == "the file is broken. Got: line 3: bad."


@pytest.mark.parametrize("kind", [StoreBusyError, RefusedError])
def test_special_errors_are_caught_as_a_factorlab_error(kind: type[FactorLabError]) -> None:
    with pytest.raises(FactorLabError, match=r"^busy\. Where: x\.$"):
        raise kind("busy", where="x")


def test_an_error_survives_the_way_between_processes() -> None:
    error = pickle.loads(pickle.dumps(RefusedError("duplicate keys", where="weights")))
    assert (type(error), str(error)) == (RefusedError, "duplicate keys. Where: weights.")
