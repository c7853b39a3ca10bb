"""Tells a webhook that a run failed, without ever raising and without showing the webhook's address."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import urllib3

#: The second attempt is the last: whoever is told of failures must not be kept from the next one.
ATTEMPTS = 2
PAUSE_SECONDS = 1.0
_TOO_MANY_REQUESTS, _SERVER_ERROR = 429, 500


@dataclass(frozen=True, slots=True)
class Alert:
    """What is told of one failed run; it holds no text of documents and no secret."""

    run_id: str
    job: str
    #: The batch, or None for a run of something else.
    batch: str | None
    error: str
    #: The same with what comes next, as one text for people.
    text: str
    #: How often in a row the batch has failed.
    attempt: int = 1
    #: Before when it is not tried again (ISO 8601); None where it is not tried again by itself, or nobody knows.
    next_attempt: str | None = None
    #: Address of the run in the UI, where the settings know the UI's.
    link: str | None = None

    def to_json(self) -> bytes:
        """Return the body of the request."""
        return json.dumps({"event": "run-failed", **asdict(self)}, ensure_ascii=False).encode()


def post(url: str, alert: Alert, timeout_seconds: float, *, sleep: Callable[[float], None] = time.sleep) -> str:
    """Send the alert, at most twice; return "" or, for people, why it was not taken.

    A request that got no answer may have arrived: receivers know a repetition by its ``run_id``.
    """
    problem, worth_repeating = _post_once(url, alert, timeout_seconds)
    for _ in range(1, ATTEMPTS):
        if not worth_repeating:
            break
        sleep(PAUSE_SECONDS)
        problem, worth_repeating = _post_once(url, alert, timeout_seconds)
    return problem


def _post_once(url: str, alert: Alert, timeout_seconds: float) -> tuple[str, bool]:
    """What went wrong, or "", and whether the same request may succeed later."""
    try:
        # urllib3 logs addresses at DEBUG only; some clients do at INFO, and this one is a secret.
        with urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(total=timeout_seconds)) as pool:
            answer = pool.request(
                "POST",
                url,
                body=alert.to_json(),
                headers={"Content-Type": "application/json"},
                redirect=False,
                preload_content=False,
            )
            status = answer.status
            answer.close()
    except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        # Its text would quote the address.
        return f"the webhook of alerts.webhook_url gave no answer ({type(error).__name__})", True
    if status // 100 == 2:  # noqa: PLR2004  # the class of success
        return "", False
    again = status == _TOO_MANY_REQUESTS or status >= _SERVER_ERROR
    return f"the webhook of alerts.webhook_url answered {status}; check the address and its rights", again
