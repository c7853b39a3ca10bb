"""Lets the allocator return the memory of pages to the system as soon as they are done."""

from __future__ import annotations

import ctypes
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
