"""Every command that README.md and docs/*.md show does what it says: it runs and succeeds."""

from __future__ import annotations

from pathlib import Path

import pytest

from factorlab_tests.architecture.documents import ARCHIVE, Block, Reader, blocks
from factorlab_tests.architecture.repository import project_files, text_of
from factorlab_tests.conftest import PROJECT_ROOT

DOCUMENTS = [PROJECT_ROOT / "README.md", *sorted((PROJECT_ROOT / "docs").glob("*.md"))]
SHOWN = {path: blocks(text_of(path)) for path in DOCUMENTS if path.exists()}
SAMPLE = """
```bash
one
two
```
text
<!-- not run: it never ends -->
```bash
three
```

<!-- real data -->

```bash
four
```
```python
five
```
"""


def test_blocks_are_found_with_their_line_and_the_comment_above() -> None:
    assert blocks(SAMPLE) == [
        Block("one\ntwo\n", 3, "bash", ""),
        Block("three\n", 9, "bash", "not run: it never ends"),
        Block("four\n", 15, "bash", "real data"),
    ]
    assert [block.is_run for block in blocks(SAMPLE)] == [True, False, True]
    assert [block.wants_real_data for block in blocks(SAMPLE)] == [False, False, True]


def test_every_block_of_commands_is_one_that_is_run_or_says_why_not() -> None:
    others = {
        f"{path.name}:{block.line}"
        for path, shown in SHOWN.items()
        for block in shown
        if block.language != "bash"
        or (block.comment and block.is_run and not block.wants_real_data)
    }
    assert not others


LONG = ("evaluation.md", "reports.md")
"""Pages whose commands take a minute and more."""
RUN = [
    pytest.param(page, id=page.name, marks=[pytest.mark.slow] if page.name in LONG else [])
    for page, shown in SHOWN.items()
    if any(block.is_run for block in shown)
]


@pytest.mark.parametrize("document", RUN)
def test_the_commands_of_a_document_succeed_in_order(
    document: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    reader = Reader(tmp_path)
    reader.settle(project_files())
    for block in SHOWN[document]:
        if block.wants_real_data:  # here the test ends as skipped where there are none
            reader.lay_out(request.getfixturevalue("shared_data") / "stooq" / ARCHIVE)
        if block.is_run:
            done = reader.run(block.text)
            said = f"{document.name}:{block.line}\n{block.text}\n{done.stdout}\n{done.stderr}"
            assert done.returncode == 0, said
