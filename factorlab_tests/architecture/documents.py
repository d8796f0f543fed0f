"""The commands that README.md and docs/*.md show, and running them as a reader would.

Belongs here: finding ```bash blocks and running one. Does not: which documents there are to test.

A comment right above a block decides about it: `<!-- not run: reason -->` leaves it out,
`<!-- real data -->` lays the real archive beside the README, and ends the test as skipped where
there is none. Blocks of one document run in order in one folder, so that a later one may build on
an earlier. `make test` is never run: it is what runs this.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from factorlab_tests.conftest import PROJECT_ROOT

ARCHIVE = "us_etfs_20240621.zip"
BLOCK = re.compile(
    r"^(?:<!-- (?P<comment>[^\n]*?) -->\n+)?```(?P<language>bash|sh|shell|console)\n"
    r"(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """One block of commands: what it says, where it stands, and the comment above it."""

    text: str
    line: int
    language: str
    comment: str

    @property
    def is_run(self) -> bool:
        return not self.comment.startswith("not run: ") and "make test" not in self.text

    @property
    def wants_real_data(self) -> bool:
        return self.comment == "real data"


def blocks(text: str) -> list[Block]:
    """Every block of shell commands in a Markdown text."""
    return [
        Block(
            text=match["text"],
            line=text.count("\n", 0, match.start("text")) + 1,
            language=match["language"],
            comment=match["comment"] or "",
        )
        for match in BLOCK.finditer(text)
    ]


@dataclass(frozen=True)
class Reader:
    """Someone with a copy of the project's files, an empty home and nothing set."""

    folder: Path

    @property
    def project(self) -> Path:
        return self.folder / "factorlab"

    def settle(self, files: list[Path]) -> None:
        """Copy the project's `files`."""
        for path in files:
            to = self.project / path.relative_to(PROJECT_ROOT)
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, to)
        (self.folder / "home").mkdir()

    def lay_out(self, archive: Path) -> None:
        """Put the real archive where the documents name it: beside the README."""
        if not (self.project / archive.name).exists():
            (self.project / archive.name).symlink_to(archive)

    def run(self, command: str, *, timeout_s: float = 300) -> subprocess.CompletedProcess[str]:
        """Run `command` in the project as bash would, with this Python's programs first."""
        said = {key: value for key, value in os.environ.items() if key.startswith(("PIP_", "LANG"))}
        environment = said | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(self.folder / "home"),
            "PYTHONPATH": str(self.project),
            "FACTORLAB_DATA_DIR": str(self.folder / "data"),
        }
        if _is_made_from(self.project):
            environment["VENV"] = sys.prefix
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=self.project,
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )


def _is_made_from(project: Path) -> bool:
    """Whether `make` set up this Python from the same lock, and so need not set up another."""
    stamp = Path(sys.prefix) / ".installed"
    made_of = (project / "requirements.lock", project / "pyproject.toml")
    return stamp.exists() and all(stamp.stat().st_mtime >= p.stat().st_mtime for p in made_of)
