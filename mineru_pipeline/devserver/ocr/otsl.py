"""Writes a table in OTSL, the token language that MinerU's table answers use."""

from __future__ import annotations

import re

from mineru_pipeline.devserver.ocr.cells import Table

_TOKENS = re.compile(r"<(?=/?(?:fcel|ecel|lcel|ucel|xcel|nl|table)\b)")


def to_otsl(table: Table) -> str:
    """``<fcel>`` text, ``<ecel>`` empty, ``<lcel>``/``<ucel>``/``<xcel>`` continue left, above or both; ``<nl>``."""
    tokens = [["<ecel>"] * table.columns for _ in range(table.rows)]
    for cell in table.cells:
        for row in range(cell.row, cell.row + cell.rows):
            for column in range(cell.column, cell.column + cell.columns):
                above, left = row > cell.row, column > cell.column
                tokens[row][column] = "<xcel>" if above and left else "<ucel>" if above else "<lcel>"
        # Text on the page that looks like a token must not become one.
        text = _TOKENS.sub("&lt;", cell.text)
        tokens[cell.row][cell.column] = f"<fcel>{text}" if text else "<ecel>"
    return "".join("".join(row) + "<nl>" for row in tokens)
