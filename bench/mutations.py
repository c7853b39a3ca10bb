"""Breaks one thing at a time in a copy of the checkout, and shows that a test sees it: ``python -m bench.mutations``.

Every test has to pass in the copy as it is, and to fail, for the reason that is named, with one file changed. Prints a
table in Markdown; ends with 1 when something was broken and nothing was said.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.breakages import BREAKAGES, Breakage
from mineru_pipeline.settings import project_root

_WAIT_SECONDS = 600
_SHOWN_LINES = 20


@dataclass(frozen=True, slots=True)
class Ended:
    """How pytest ended, and what it printed."""

    code: int
    output: str

    def passed(self, tests: int) -> bool:
        """Whether so many tests passed and none was skipped."""
        return self.code == 0 and re.search(rf"^{tests} passed in ", self.output, re.MULTILINE) is not None

    def failed(self, says: str) -> bool:
        """Whether the one test failed, itself or while its fixtures were made, and ``says`` stands in its failure."""
        one = re.search(r"^1 (failed|error) in ", self.output, re.MULTILINE) is not None
        return self.code == 1 and one and says in self.output


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one breakage; ``output`` is empty when it was caught."""

    breakage: Breakage
    seconds: float
    output: str

    @property
    def caught(self) -> bool:
        """Whether the test saw it, for the reason that is named."""
        return not self.output


Tester = Callable[[Path, Sequence[str]], Ended]


def copy_checkout(source: Path, target: Path) -> None:
    """Copy the files that git knows or does not ignore, as they are now."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=source, capture_output=True, check=True).stdout
    for name in listed.decode().split("\0"):
        if name and (source / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source / name, target / name)


def run_tests(folder: Path, tests: Sequence[str]) -> Ended:
    """Run tests of the copy with this interpreter, whose environment it shares, on the copy's code."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("MINERU_PIPELINE", "PYTEST"))}
    # Before the folder that an editable install names; bytecode would outlive a change within the same second.
    environ |= {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "200"}
    command = [sys.executable, "-m", "pytest", "-q", "--tb=short", "--color=no", "-p", "no:cacheprovider", "-rs"]
    command += ["-o", "verbosity_assertions=2"]
    done = subprocess.run(
        [*command, *tests],
        cwd=folder,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_WAIT_SECONDS,
        check=False,
    )
    return Ended(done.returncode, done.stdout)


def try_one(folder: Path, breakage: Breakage, tester: Tester) -> Outcome:
    """Break it, run its test, and mend it again."""
    file = folder / breakage.file
    text = file.read_text()
    started = time.monotonic()
    file.write_text(breakage.applied(text))
    try:
        tested = tester(folder, [breakage.test])
    finally:
        file.write_text(text)
    output = "" if tested.failed(breakage.says) else tested.output or "nothing was printed"
    return Outcome(breakage, round(time.monotonic() - started, 1), output)


def markdown(outcomes: Sequence[Outcome]) -> str:
    """Return the table, with a word about each that was not caught."""
    lines = ["| broken | in | caught by | which says |", "|---|---|---|---|"]
    for outcome in outcomes:
        each = outcome.breakage
        says = f"`{each.says}`" if outcome.caught else "**nothing of the kind**"
        place, _, test = each.test.partition("::")
        lines.append(f"| {each.what} | `{each.file}` | `{Path(place).name}`: `{test}` | {says} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None, tester: Tester = run_tests) -> int:
    """Break what is asked for; return 1 when a test did not see it, 2 when tests fail before anything is broken."""
    options = _options(arguments)
    chosen = [each for each in BREAKAGES if each.name in options.only]
    with tempfile.TemporaryDirectory(prefix="mutations-") as name:
        folder = Path(name).resolve()
        copy_checkout(project_root(), folder)
        tests = sorted({each.test for each in chosen})
        _say(f"{len(tests)} tests with nothing broken")
        whole = tester(folder, tests)
        if not whole.passed(len(tests)):
            _say(f"they have to pass, and not to be skipped:\n{_end(whole.output)}")
            return 2
        outcomes = []
        for each in chosen:
            outcomes.append(try_one(folder, each, tester))
            _say(f"{'caught' if outcomes[-1].caught else 'NOT CAUGHT':10} {each.name} ({outcomes[-1].seconds} s)")
            if not outcomes[-1].caught:
                _say(f"{each.test} should say {each.says!r}:\n{_end(outcomes[-1].output)}")
    if options.json:
        print(json.dumps([asdict(each) | {"caught": each.caught} for each in outcomes], indent=1))
    else:
        print(markdown(outcomes))
    return 0 if all(each.caught for each in outcomes) else 1


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.mutations", description=(__doc__ or "").partition(":")[0])
    names = [each.name for each in BREAKAGES]
    parser.add_argument(
        "--only", nargs="+", choices=names, default=names, metavar="NAME", help=f"of {', '.join(names)}"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print objects instead of a table")
    form.add_argument("--markdown", action="store_true", help="print a table in Markdown, as without it")
    return parser.parse_args(arguments)


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def _end(output: str) -> str:
    return "\n".join(output.splitlines()[-_SHOWN_LINES:])


if __name__ == "__main__":
    sys.exit(main())
