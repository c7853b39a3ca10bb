"""Reading ``Retry-After``: how long a server asks to be left alone."""

from __future__ import annotations

from datetime import datetime
from email.utils import parsedate_to_datetime


def retry_after_seconds(value: str | None, date: str | None = None) -> float:
    """Return the seconds that ``Retry-After`` asks for; 0 if it asks for nothing or cannot be read.

    It holds seconds, or a point in time (https://www.rfc-editor.org/rfc/rfc9110#field.retry-after),
    which is taken against the reply's own ``date``: the server's clock need not agree with ours.
    """
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        # Cut off before it is read: a number of a thousand digits is no pause either.
        return float(text[:9])
    until, now = _moment(text), _moment(date or "")
    if until is None or now is None:
        return 0.0
    return max(0.0, (until - now).total_seconds())


def _moment(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    # Dates without a zone are GMT by HTTP's rules, yet Python reads them as nobody's time.
    return moment if moment.tzinfo is not None else None
