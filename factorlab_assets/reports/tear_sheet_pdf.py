"""The printed tear sheet: three A4 pages of vectors, the same bytes for the same sheet.

Belongs here: which panel stands where, and the file. Does not: a panel's drawing (`pdf_plots`,
`pdf_book`, `pdf_tables`), or computing what is drawn: every figure is a stored row's.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from factorlab_assets.reports import pdf_book, pdf_fonts, pdf_page, pdf_plots, pdf_tables, theme
from factorlab_assets.reports.pdf_page import Page
from factorlab_assets.reports.sheet import Sheet

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAGES = 3


def render(sheet: Sheet) -> bytes:
    """The tear sheet as a PDF.

    Page 1: headline figures with confidence intervals, verdict, growth of 1 with drawdown, calendar
    years. Page 2: monthly returns, rolling statistics, drawdowns. Page 3: weights by ticker and by
    class, turnover, costs, exposures. A table that is missing leaves a sentence with the reason.

    Notes
    -----
    No date and no version of a library is in the metadata, fonts are embedded as TrueType (they
    can be searched and copied), and a reader's own matplotlib settings change nothing.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_pdf import PdfPages

    name = pdf_fonts.plain(sheet.identity.strategy, 80)
    said = {
        "Title": f"{name}, {pdf_fonts.plain(sheet.identity.month, 10)}",
        "Creator": "FactorLab",
        "Producer": "FactorLab",
        "CreationDate": None,
    }
    file = io.BytesIO()
    with mpl.rc_context(_settings()), PdfPages(file, metadata=said) as pages:
        for figure in figures(sheet):
            pages.savefig(figure)
    return file.getvalue()


def figures(sheet: Sheet) -> list[Figure]:
    """The pages as matplotlib's figures, to be drawn under `_settings`."""
    from matplotlib.figure import Figure

    colours = theme.Colours(sheet.asset_classes)
    drawn = []
    for number, draw in enumerate((_first, _second, _third), 1):
        figure = Figure(figsize=(pdf_page.WIDTH, pdf_page.HEIGHT), facecolor=theme.LIGHT.paper)
        page = Page(figure, sheet, colours)
        draw(page)
        pdf_tables.footer(page, number, PAGES)
        drawn.append(figure)
    return drawn


def _settings() -> Any:
    """matplotlib's own defaults where it matters, whatever the machine's settings are."""
    import matplotlib as mpl

    groups = {"axes", "figure", "font", "grid", "hatch", "lines", "patch", "path", "savefig"}
    groups |= {"text", "xtick", "ytick"}
    found: Any = {k: v for k, v in mpl.rcParamsDefault.items() if k.split(".")[0] in groups}
    return found | {
        "pdf.fonttype": 42,
        "pdf.inheritcolor": False,
        "pdf.use14corefonts": False,
        "text.usetex": False,
        "text.parse_math": False,
        "path.simplify": True,
    }


def _first(page: Page) -> None:
    pdf_tables.head(page)
    pdf_tables.headline(page, 1.78)
    pdf_tables.verdict(page, 1.78, bottom=5.28)
    pdf_plots.nav(page, 5.6, 2.1, 0.8)
    pdf_plots.calendar_years(page, 9.1, 1.22)


def _second(page: Page) -> None:
    pdf_tables.short_head(page)
    y = pdf_plots.months(page, 1.05, 3.9)
    y = max(y, 2.0) + 0.38
    y = pdf_plots.rolling(page, y, 0.8, 0.32)
    pdf_tables.drawdowns(page, y, pdf_page.HEIGHT - 0.78)


def _third(page: Page) -> None:
    pdf_tables.short_head(page)
    pdf_book.weights(page, 1.0, (2.15, 1.4), 0.48)
    pdf_book.trading(page, 5.82, (0.75, 0.7), 0.26)
    pdf_book.exposures(page, 8.22, 0.62)
    pdf_tables.betas(page, 9.45, pdf_page.HEIGHT - 0.8)
