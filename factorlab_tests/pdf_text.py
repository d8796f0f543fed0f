"""The text of a PDF that matplotlib wrote, for tests.

Belongs here: reading page by page what is written. Does not: what ought to be there.
Enough of the format for such files: TrueType fonts of two-byte codes with their ToUnicode tables.
"""

from __future__ import annotations

import re
import zlib

_OBJECT = re.compile(rb"(?:^|\n)(\d+) 0 obj\n(.*?)\nendobj", re.DOTALL)
_TOKEN = re.compile(
    rb"/(?P<font>F\d+) [\d.]+ Tf|(?P<begin>\bBT\b)|(?P<end>\bET\b)|\((?P<said>(?:\\.|[^\\()])*)\)",
    re.DOTALL,
)
_ESCAPE = re.compile(rb"\\(\d{1,3}|.)", re.DOTALL)
_NAMED = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f"}


def pages_of(file: bytes) -> list[list[str]]:
    """Page -> the texts on it, each as it was written in one piece."""
    objects = {int(number): body for number, body in _OBJECT.findall(file)}
    fonts = {
        name.decode(): _characters(objects, int(number))
        for name, number in re.findall(rb"/(F\d+) (\d+) 0 R", file)
    }
    kids = re.search(rb"/Kids \[([^\]]*)\]", file)
    assert kids is not None
    pages = []
    for number in re.findall(rb"(\d+) 0 R", kids.group(1)):
        contents = re.search(rb"/Contents (\d+) 0 R", objects[int(number)])
        assert contents is not None
        pages.append(_texts(_stream(objects[int(contents.group(1))]), fonts))
    return pages


def _stream(body: bytes) -> bytes:
    about, _, rest = body.partition(b"stream\n")
    content = rest[: rest.rindex(b"\nendstream")]
    return zlib.decompress(content) if b"/FlateDecode" in about else content


def _characters(objects: dict[int, bytes], font: int) -> dict[int, str]:
    at = re.search(rb"/ToUnicode (\d+) 0 R", objects[font])
    assert at is not None, "a font without a table of its characters"
    found = {}
    for first, _, said in re.findall(
        rb"<([0-9a-f]{4})> <([0-9a-f]{4})> \[([^\]]*)\]", _stream(objects[int(at.group(1))])
    ):
        for k, code in enumerate(re.findall(rb"<([0-9a-f]+)>", said)):
            found[int(first, 16) + k] = bytes.fromhex(code.decode()).decode("utf-16-be")
    return found


def _texts(content: bytes, fonts: dict[str, dict[int, str]]) -> list[str]:
    texts: list[str] = []
    font: dict[int, str] = {}
    for token in _TOKEN.finditer(content):
        if token["begin"]:
            texts.append("")
        elif token["font"]:
            font = fonts[token["font"].decode()]
        elif token["said"] is not None:
            codes = _ESCAPE.sub(_unescaped, token["said"])
            for k in range(0, len(codes), 2):
                texts[-1] += font[int.from_bytes(codes[k : k + 2], "big")]
    return texts


def _unescaped(found: re.Match[bytes]) -> bytes:
    said = found[1]
    return bytes([int(said, 8)]) if said.isdigit() else _NAMED.get(said, said)
