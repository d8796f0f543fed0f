"""The one exception that FactorLab raises at its users: what, where, got, expected, what to do.

Belongs here: error classes. Does not: deciding what is wrong, or printing.
"""


class FactorLabError(Exception):
    """A problem that the user can act on, told in one paragraph.

    Parameters
    ----------
    what : one sentence without a full stop: what went wrong.
    where, got, expected, do : the other four parts; empty ones are left out.

    Examples
    --------
    >>> print(FactorLabError("bad lookback", where="a.yaml: factors[0]", got=0, expected="1 to 9"))
    bad lookback. Where: a.yaml: factors[0]. Got: 0. Expected: 1 to 9.
    """

    def __init__(
        self,
        what: str,
        *,
        where: object = "",
        got: object = "",
        expected: object = "",
        do: object = "",
    ) -> None:
        parts = [("", what), ("Where: ", where), ("Got: ", got), ("Expected: ", expected)]
        parts.append(("What to do: ", do))
        said = [f"{label}{_one_line(part)}." for label, part in parts if str(part) != ""]
        super().__init__(" ".join(said))
        self.what = what


class StoreBusyError(FactorLabError):
    """The database lock was not free within the set time."""


class RefusedError(FactorLabError):
    """The store refused a write or a load: nothing was changed."""


def _one_line(part: object) -> str:
    return " ".join(str(part).split()).rstrip(".")
