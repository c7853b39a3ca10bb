"""What a reconciliation has found: how the objects of each place stand, and what is wrong with batches."""

from __future__ import annotations

from dataclasses import dataclass, field

from mineru_pipeline.parsing.accounts import STANDINGS

MISSING, CHANGED, FRESH, GONE, OTHER = "missing", "changed", "fresh", "gone", "other"
#: How an object can stand, as counted: by the best entry that means it as it is, or else by what it lacks.
KINDS = (*STANDINGS, MISSING, CHANGED, FRESH, GONE, OTHER)
#: Addresses that are named of each kind.
SHOWN = 5


@dataclass(slots=True)
class PlaceReport:
    """How the objects of one place stand; counts are by object."""

    place: str
    listed: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    examples: dict[str, list[str]] = field(default_factory=dict)
    requested: int = 0
    batches: list[str] = field(default_factory=list)
    #: Why something that is missing was not requested, or nothing compared; "" when there is no such reason.
    note: str = ""
    #: What kept it from being listed to its end.
    failure: str = ""

    def count(self, kind: str, uri: str) -> None:
        """Count an object in, and keep the first addresses of each kind."""
        self.counts[kind] = self.counts.get(kind, 0) + 1
        shown = self.examples.setdefault(kind, [])
        if len(shown) < SHOWN:
            shown.append(uri)


@dataclass(slots=True)
class Reconciliation:
    """What one reconciliation has found and done."""

    places: list[PlaceReport] = field(default_factory=list)
    #: Batches, and the entries of their manifests.
    batches: int = 0
    entries: int = 0
    #: Batches with a table that lacks entries of the manifest, and how many it lacks.
    incomplete: dict[str, int] = field(default_factory=dict)
    #: Batches without table and partition, which nothing would ever run.
    stranded: list[str] = field(default_factory=list)
    #: Manifests and tables that cannot be read, one sentence each.
    damaged: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def counts(self) -> dict[str, int]:
        """Objects of all places by kind."""
        return {kind: sum(report.counts.get(kind, 0) for report in self.places) for kind in KINDS}

    @property
    def missing(self) -> int:
        """Objects that no batch meant in the state in which they are now."""
        return self.counts[MISSING] + self.counts[CHANGED]

    @property
    def requested(self) -> int:
        """Documents of the batches that were fixed."""
        return sum(report.requested for report in self.places)

    @property
    def figures(self) -> dict[str, int]:
        """All counts by name."""
        return {
            "requested": self.requested,
            **self.counts,
            "listed": sum(report.listed for report in self.places),
            "entries": self.entries,
            "batches": self.batches,
            "incomplete": len(self.incomplete),
            "stranded": len(self.stranded),
            "damaged": len(self.damaged),
        }

    @property
    def to_start(self) -> list[str]:
        """Batches that need a partition, so that something runs them."""
        return [*(batch for report in self.places for batch in report.batches), *self.stranded]

    @property
    def unlisted(self) -> list[str]:
        """Why places were not listed to their end; one sentence each."""
        return [report.failure for report in self.places if report.failure]

    @property
    def failures(self) -> list[str]:
        """Why this is not the whole truth; one sentence each."""
        return [*self.unlisted, *self.damaged]
