"""Decides what is new in a listing: a pure function over two listings, the last one and this one.

S3 lists by key and not by time, so whatever is to be found, the whole listing must be read. Then the
surest way to tell what is new is to compare it with the last one, object by object, and to look at no
clock at all. A high-water mark of ``LastModified`` would lose objects: it has a resolution of a second,
the clocks of a cluster's nodes differ, and a multipart upload carries the time at which it was begun,
hours before it can be seen. An overlap large enough for all that must remember the objects within it,
and no size of it is ever certain to be enough. Remembering all of them costs 16 bytes each, in the
store and not in the cursor, and shows overwritten and deleted objects as well.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from mineru_pipeline.documents.seen import Known, Listed, Seen, digest

#: Objects that are looked at together; also how often the time is.
PAGE = 1000

L = TypeVar("L", bound=Listed)


@dataclass(frozen=True, slots=True)
class Sweep(Generic[L]):
    """What one sweep over a listing, or a part of it, has found."""

    #: Objects that are new or were overwritten, and wanted; in the order of the listing.
    found: tuple[L, ...]
    #: Everything that this pass over the listing has shown up to here.
    seen: Seen
    #: Key behind which the pass goes on next time; "" when it is complete.
    position: str
    #: Objects that were listed this time.
    listed: int
    #: Objects of the last complete pass that are no longer there; 0 while the pass is not complete.
    gone: int = 0


def sweep(
    listing: Iterable[L],
    before: Seen,
    so_far: Seen,
    *,
    wanted: Callable[[str], bool],
    most: int,
    in_time: Callable[[], bool],
) -> Sweep[L]:
    """Compare a listing, as it comes, with the last complete one.

    Args:
        listing: the objects from where the pass goes on, each key once.
        before: what the last complete pass has shown.
        so_far: what this pass has shown before today's part of it.
        wanted: whether an object of this key is to be found at all.
        most: stop behind this many found ones.
        in_time: asked after each page; on False the pass stops there.
    """
    known, parts, found, listed, last = Known(before), [so_far], [], 0, ""
    pages = iter(listing)
    while page := list(itertools.islice(pages, PAGE)):
        seen = digest(page)
        for place in known.missing(seen):
            if wanted(str(page[place].object_name)):
                found.append(page[place])
            if len(found) == most:
                page, seen = page[: place + 1], seen.first(place + 1)
                break
        parts.append(seen)
        listed, last = listed + len(page), str(page[-1].object_name)
        if len(found) == most or not in_time():
            return Sweep(tuple(found), Seen.join(parts), last, listed)
    complete = Seen.join(parts)
    return Sweep(tuple(found), complete, "", listed, before.gone_in(complete))
