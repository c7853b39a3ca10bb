"""What the extra ``quality`` brings, and what to say where it is not installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Final

from mineru_pipeline.errors import QualityError

#: One module of each distribution of the extra.
MODULES: Final = ("apted", "rapidfuzz", "reportlab", "scipy", "ziamath")


def missing_modules(is_there: Callable[[str], bool] = lambda name: find_spec(name) is not None) -> list[str]:
    """Return which modules of the extra are not installed."""
    return [name for name in MODULES if not is_there(name)]


def require_extra(missing: Callable[[], list[str]] = missing_modules) -> None:
    """Do nothing where the extra is installed; raises QualityError that says what to install."""
    if names := missing():
        raise QualityError(explain_missing(names))


def explain_missing(names: list[str]) -> str:
    """Say what to do about modules that are not there."""
    return (
        f"Measuring quality needs {', '.join(names)}, which this installation lacks. Install the extra where the run "
        "is executed: pip install 'mineru-pipeline[quality]' (locks/cluster.txt and locks/dev.txt have it)."
    )


@contextmanager
def needs_extra() -> Iterator[None]:
    """Turn the failure of an import of the extra into one that says what to install."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise QualityError(explain_missing([(error.name or "a module").partition(".")[0]])) from error
