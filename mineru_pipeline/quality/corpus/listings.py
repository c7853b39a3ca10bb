"""Listings of programs, made by lot; they would run, more or less, but do nothing useful."""

from __future__ import annotations

from mineru_pipeline.quality.corpus.dice import Dice

_VERBS = (
    "load",
    "merge",
    "count",
    "filter",
    "resample",
    "encode",
    "split",
    "rank",
    "verify",
    "collect",
    "update",
    "trace",
)
_NOUNS = (
    "rows",
    "samples",
    "pages",
    "levels",
    "orders",
    "tokens",
    "readings",
    "parcels",
    "routes",
    "batches",
    "meters",
)
_COLUMNS = ("station", "amount", "opened_at", "region", "weight_kg", "status", "unit_price", "batch_no", "level_cm")


class Listings:
    """A source of listings."""

    def __init__(self, dice: Dice) -> None:
        self._dice = dice

    def draw(self) -> list[str]:
        """Return the lines of the next listing."""
        return self._dice.pick([self._python, self._c, self._sql, self._shell, self._json])()

    def _name(self) -> str:
        return f"{self._dice.pick(_VERBS)}_{self._dice.pick(_NOUNS)}"

    def _number(self) -> int:
        return self._dice.integer(2, 4_096)

    def _python(self) -> list[str]:
        name, noun, other = self._name(), *self._dice.some(_NOUNS, 2)
        key = self._dice.pick(_COLUMNS)
        return [
            f"def {name}({noun}, limit={self._number()}):",
            f'    """Return the {other} of all {noun} below the limit."""',
            f"    {other} = {{}}",
            f"    for index, each in enumerate({noun}):",
            f'        if each["{key}"] > limit and index % {self._dice.integer(2, 9)} == 0:',
            "            continue",
            f'        {other}[index] = each["{key}"] * {self._dice.integer(1, 99) / 100}',
            f"    return sorted({other}.items(), key=lambda pair: -pair[1])[:{self._dice.integer(3, 60)}]",
        ]

    def _c(self) -> list[str]:
        name, noun = self._name(), self._dice.pick(_NOUNS)
        return [
            f"#define MAX_{noun.upper()} {self._number()}",
            "",
            f"static int {name}(const struct item *{noun}, size_t count)",
            "{",
            "    int sum = 0;",
            f"    for (size_t i = 0; i < count && i < MAX_{noun.upper()}; i++) {{",
            f"        if ({noun}[i].flags & 0x{self._number():04X})",
            f"            sum += {noun}[i].value >> {self._dice.integer(1, 7)};",
            "    }",
            f"    return sum % {self._number()};",
            "}",
        ]

    def _sql(self) -> list[str]:
        first, second, third = self._dice.some(_COLUMNS, 3)
        table = self._dice.pick(_NOUNS)
        return [
            f"SELECT {first}, COUNT(*) AS n, AVG({second}) AS mean",
            f"FROM {table}",
            f"WHERE {third} >= {self._number()} AND {second} IS NOT NULL",
            f"GROUP BY {first}",
            f"HAVING COUNT(*) > {self._dice.integer(2, 50)}",
            f"ORDER BY mean DESC LIMIT {self._dice.integer(5, 100)};",
        ]

    def _shell(self) -> list[str]:
        noun, tool = self._dice.pick(_NOUNS), self._name().replace("_", "-")
        return [
            "#!/bin/sh -e",
            f"for file in /srv/{noun}/*.csv; do",
            f'    {tool} --input "$file" --limit {self._number()} --seed {self._dice.integer(1, 99)} \\',
            f'        | sort -k{self._dice.integer(1, 6)} -n > "/tmp/$(basename "$file" .csv).out"',
            "done",
            f'echo "$(ls /tmp/*.out | wc -l) of {self._number()} {noun} done"',
        ]

    def _json(self) -> list[str]:
        first, second, third = self._dice.some(_COLUMNS, 3)
        return [
            "{",
            f'  "name": "{self._name()}",',
            f'  "version": "{self._dice.integer(0, 9)}.{self._dice.integer(0, 30)}.{self._dice.integer(0, 9)}",',
            '  "columns": [',
            f'    {{"key": "{first}", "width": {self._dice.integer(8, 64)}}},',
            f'    {{"key": "{second}", "width": {self._dice.integer(8, 64)}}},',
            f'    {{"key": "{third}", "width": {self._dice.integer(8, 64)}}}',
            "  ],",
            f'  "limit": {self._number()}',
            "}",
        ]
