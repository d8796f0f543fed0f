"""A picture is there whole, or there is a reason and no file."""

from __future__ import annotations

from pathlib import Path

import pytest

from factorlab_assets.reports.pictures import find_browser, picture


def browser(folder: Path, script: str) -> str:
    path = folder / "browser"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("script", "reason"), [("exit 3", "ended with 3"), ("exit 0", "wrote no picture")]
)
def test_a_browser_that_fails_leaves_a_reason_and_no_old_picture(
    tmp_path: Path, script: str, reason: str
) -> None:
    to = tmp_path / "pictures" / "page.png"
    to.parent.mkdir()
    to.write_bytes(b"old")
    assert picture(browser(tmp_path, script), tmp_path / "page.html", to).endswith(reason)
    assert not to.exists()


def test_a_browser_that_is_not_there_is_said(tmp_path: Path) -> None:
    said = picture(str(tmp_path / "none"), tmp_path / "page.html", tmp_path / "page.png")
    assert said.endswith("did not start: No such file or directory")


@pytest.mark.browser
def test_a_picture_has_the_size_that_was_asked_for(tmp_path: Path) -> None:
    found = find_browser()
    if found is None:
        pytest.skip("no Chromium on the PATH")
    page, to = tmp_path / "page.html", tmp_path / "page.png"
    page.write_text("<!doctype html><title>a page</title><p>text")
    assert picture(found, page, to, width=300, height=200) == ""
    content = to.read_bytes()
    assert content.startswith(b"\x89PNG")
    assert [int.from_bytes(content[at : at + 4], "big") for at in (16, 20)] == [300, 200]
