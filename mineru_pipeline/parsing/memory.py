"""Spares the processor, and the memory of pages, what the allocator and the garbage collector would do to them."""

from __future__ import annotations

import ctypes
import functools
import gc
import logging

logger = logging.getLogger(__name__)

#: ``M_MMAP_THRESHOLD`` of glibc's malloc.h.
_M_MMAP_THRESHOLD = -3
_THRESHOLD_BYTES = 256 * 1024


def return_large_blocks() -> bool:
    """Fix glibc's threshold for blocks with a mapping of their own; whether that was possible.

    By default glibc raises the threshold to the size of the first large block that is freed (see
    mallopt(3)). From then on pixels of a page, some 12 MB, come from the heap, where small objects
    that live longer keep them from being returned: with eight pages in flight that was a quarter
    of the worker's resident memory. Other C libraries have no such threshold, and nothing happens.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    mallopt.argtypes, mallopt.restype = (ctypes.c_int, ctypes.c_int), ctypes.c_int
    done = bool(mallopt(_M_MMAP_THRESHOLD, _THRESHOLD_BYTES))
    logger.debug("malloc threshold %s", "fixed" if done else "left as it is")
    return done


@functools.cache
def exempt_what_is_imported() -> None:
    """Take all objects there are now out of the garbage collector's sight, once for the process.

    Modules live as long as the process does, and with them some hundred thousand objects. Each full collection
    looks at every one, for 80 ms, and the answers of a few dozen pages are enough to start another.
    """
    # What is garbage already must not live for ever.
    gc.collect()
    gc.freeze()
