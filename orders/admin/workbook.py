"""
A workbook of one sheet for Excel (ECMA-376, SpreadsheetML), sent while it is written: none of it is kept.

A library that knows all of the format takes ten times as long for a list, and keeps the file until it is whole.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from xml.sax.saxutils import escape

CELL_LETTERS_MAX = 32_767  # Excel's own limit
_NO_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_MARKUP = re.compile(r"[&<>]")
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_SHEET = "xl/worksheets/sheet1.xml"
_PARTS = {
    "[Content_Types].xml": (
        f'<Types xmlns="{_PACKAGE}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{_TYPE}.sheet.main+xml"/>'
        f'<Override PartName="/xl/styles.xml" ContentType="{_TYPE}.styles+xml"/>'
        f'<Override PartName="/{_SHEET}" ContentType="{_TYPE}.worksheet+xml"/></Types>'
    ),
    "_rels/.rels": (
        f'<Relationships xmlns="{_PACKAGE}/relationships">'
        f'<Relationship Id="rId1" Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>'
    ),
    "xl/_rels/workbook.xml.rels": (
        f'<Relationships xmlns="{_PACKAGE}/relationships">'
        f'<Relationship Id="rId1" Type="{_OFFICE}/worksheet" Target="worksheets/sheet1.xml"/>'
        f'<Relationship Id="rId2" Type="{_OFFICE}/styles" Target="styles.xml"/></Relationships>'
    ),
    "xl/workbook.xml": (
        f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}">'
        '<sheets><sheet name="List" sheetId="1" r:id="rId1"/></sheets></workbook>'
    ),
    "xl/styles.xml": (
        f'<styleSheet xmlns="{_MAIN}"><fonts count="1"><font><sz val="11"/><name val="Calibri"/></font></fonts>'
        '<fills count="2"><fill><patternFill patternType="none"/></fill>'
        '<fill><patternFill patternType="gray125"/></fill></fills>'
        '<borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>'
        '<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>'
        '<cellXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/></cellXfs>'
        '<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>'
    ),
}
_DECLARED = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'

Row = Sequence[str | None]  # a number as it is written, or a text; None is an empty cell


def workbook(heads: Sequence[str], chunks: Iterable[Iterable[Row]], numbers: Sequence[bool]) -> Iterator[bytes]:
    """Yield the file in pieces as the chunks of rows come; `numbers` says which columns hold numbers."""
    sent = _Sent()
    texts = [False] * len(heads)
    with zipfile.ZipFile(sent, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as package:  # type: ignore[call-overload]
        for name, content in _PARTS.items():
            package.writestr(name, _DECLARED + content)
        with package.open(_SHEET, "w") as sheet:
            sheet.write(f'{_DECLARED}<worksheet xmlns="{_MAIN}"><sheetData>{_row(heads, texts)}'.encode())
            yield from sent.taken()
            for chunk in chunks:
                sheet.write("".join([_row(row, numbers) for row in chunk]).encode())
                yield from sent.taken()
            sheet.write(b"</sheetData></worksheet>")
    yield from sent.taken()


def _row(row: Row, numbers: Sequence[bool]) -> str:
    # A row may be shorter than its heads: one that says something of the whole file.
    return f"<row>{''.join([_cell(*each) for each in zip(row, numbers, strict=False)])}</row>"


def _cell(value: str | None, is_number: bool) -> str:
    if value is None:
        return "<c/>"
    if is_number:
        return f"<c><v>{value}</v></c>"
    clean = _NO_XML.sub("", value)[:CELL_LETTERS_MAX]
    shown = escape(clean) if _MARKUP.search(clean) else clean
    return f'<c t="inlineStr"><is><t xml:space="preserve">{shown}</t></is></c>'


class _Sent:
    """A file that nobody can go back in: what was written since it was last asked."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, piece: bytes) -> int:
        self._pieces.append(bytes(piece))
        return len(piece)

    def flush(self) -> None: ...

    def taken(self) -> Iterator[bytes]:
        """Yield what there is, if anything: an empty piece would end the file for a browser."""
        if self._pieces:
            yield b"".join(self._pieces)
            self._pieces.clear()
