"""From what an S3 server, or the way to it, did wrong to a typed error that says what to do."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from xml.etree import ElementTree as ET

import urllib3.exceptions
from minio.error import InvalidResponseError, MinioException, S3Error, ServerError

from mineru_pipeline.errors import (
    ObjectNotFoundError,
    StoreDeniedError,
    StoreError,
    StoreFullError,
    StoreMisconfiguredError,
    StoreUnavailableError,
)

_WRONG_KEYS = frozenset({
    "InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken", "TokenRefreshRequired",
    "InvalidClientTokenId", "NotSignedUp", "AccountProblem",
})  # fmt: skip
_SKEWED = frozenset({"RequestTimeTooSkewed", "RequestExpired"})
_ELSEWHERE = frozenset({
    "AuthorizationHeaderMalformed", "PermanentRedirect", "TemporaryRedirect", "Redirect", "InvalidRegion",
    "IllegalLocationConstraintException", "AuthorizationQueryParametersError",
})  # fmt: skip
_FULL = frozenset({
    "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "QuotaExceeded", "InsufficientStorage",
    "InsufficientCapacity",
})  # fmt: skip
# Beside every 5xx. The conflicts are those of writers that S3 asks to try again.
_PASSING = frozenset({
    "SlowDown", "RequestTimeout", "InternalError", "ServiceUnavailable", "TooManyRequests", "Throttling",
    "ThrottlingException", "RequestThrottled", "ConditionalRequestConflict", "OperationAborted", "BadDigest",
    "IncompleteBody", "XMinioServerNotInitialized",
})  # fmt: skip
_GONE = frozenset({"NoSuchKey", "NoSuchVersion"})
_PASSING_STATUS = frozenset({408, 425, 429})
_INSUFFICIENT_STORAGE = 507
_CLIENT_FAULT, _SERVER_FAULT = 400, 500
_FORBIDDEN = 403
_NOT_IMPLEMENTED = 501


@contextmanager
def explained(endpoint: str, doing: str, bucket: str) -> Iterator[None]:
    """Raise the failures within as :class:`StoreError`; ``doing`` completes "Cannot …".

    What the server wrote is not carried along, neither as text nor as cause: it can be a page of
    anything, and repeat what was sent to it.
    """
    try:
        yield
    except MinioException as error:
        raise _of_answer(error, endpoint, doing, bucket) from None
    except (ET.ParseError, ValueError):
        # The SDK's word for an answer without the elements or the encoding it expects.
        raise _not_s3(endpoint, doing, "with what is not XML") from None
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise _of_connection(error, endpoint, doing) from error


def status_of(error: MinioException) -> int:
    """Return the HTTP status that the SDK's error stands for; 0 where it tells none."""
    if isinstance(error, S3Error):
        return int(error.response.status)
    if isinstance(error, ServerError):
        return int(error.status_code)
    return int(getattr(error, "_code", 0)) if isinstance(error, InvalidResponseError) else 0


def concerns_one_object(error: S3Error) -> bool:
    """Whether the answer speaks of the object that was asked for, and not of the server, our keys or the clock."""
    everyone = _WRONG_KEYS | _SKEWED | _ELSEWHERE | _FULL | _PASSING
    status = status_of(error)
    return _CLIENT_FAULT <= status < _SERVER_FAULT and status not in _PASSING_STATUS and error.code not in everyone


def _of_answer(error: MinioException, endpoint: str, doing: str, bucket: str) -> StoreError:
    code, status = (error.code or "" if isinstance(error, S3Error) else ""), status_of(error)
    said = ascii(code[:60])[1:-1] if code else "no code"
    answer = f"the S3 server at {endpoint} answers {status} ({said})"
    for applies, explain in _RULES:
        if applies(code, status):
            return explain(f"Cannot {doing}: {answer}.", bucket)
    if isinstance(error, InvalidResponseError):
        return _not_s3(endpoint, doing, f"{status} with what is not S3's XML")
    return StoreMisconfiguredError(f"Cannot {doing}: {answer}. Look up the code in the server's documentation.")


def _is_passing(code: str, status: int) -> bool:
    return code in _PASSING or status in _PASSING_STATUS or (status >= _SERVER_FAULT and status != _NOT_IMPLEMENTED)


Rule = tuple[Callable[[str, int], bool], Callable[[str, str], StoreError]]

#: In order: the first that applies to code and status explains the answer.
_RULES: tuple[Rule, ...] = (
    (lambda code, _: code in _GONE, lambda fact, _: ObjectNotFoundError(f"{fact} Nothing is stored there.")),
    (
        lambda code, _: code == "NoSuchBucket",
        lambda fact, bucket: StoreMisconfiguredError(
            f"{fact} There is no bucket {bucket!r}: create it, or correct the setting that names it."
        ),
    ),
    (
        lambda code, _: code in _WRONG_KEYS,
        lambda fact, _: StoreMisconfiguredError(
            f"{fact} It does not accept our credentials: check minio.access_key and minio.secret_key. If they are "
            "right, a proxy on the way may change the Host header, which is signed."
        ),
    ),
    (
        lambda code, _: code in _SKEWED,
        lambda fact, _: StoreMisconfiguredError(
            f"{fact} Its clock and the one of this machine are too far apart: set both by NTP."
        ),
    ),
    (
        lambda code, status: code in _ELSEWHERE or status in {301, 302, 307, 308},
        lambda fact, bucket: StoreMisconfiguredError(
            f"{fact} Bucket {bucket!r} is not to be asked for there: check minio.endpoint and minio.region."
        ),
    ),
    (
        lambda code, status: code in _FULL or status == _INSUFFICIENT_STORAGE,
        lambda fact, bucket: StoreFullError(
            f"{fact} It has no room left for bucket {bucket!r}. Everything stored so far is whole: make room, or "
            "raise the quota, and start the same run again to resume it."
        ),
    ),
    (
        _is_passing,
        lambda fact, _: StoreUnavailableError(
            f"{fact} It is overloaded or unwell: look at its health and its log. Everything stored so far is whole; "
            "the same run resumes."
        ),
    ),
    (
        lambda _, status: status == _FORBIDDEN,
        lambda fact, bucket: StoreDeniedError(
            f"{fact} The user of minio.access_key needs s3:GetObject, s3:PutObject, s3:DeleteObject and "
            f"s3:ListBucket for bucket {bucket!r}, and for one it only reads the first and the last."
        ),
    ),
    (
        lambda _, status: status == _NOT_IMPLEMENTED,
        lambda fact, _: StoreMisconfiguredError(
            f"{fact} It does not know this request: a version is needed that has conditional writes (If-None-Match)."
        ),
    ),
)


def _not_s3(endpoint: str, doing: str, how: str) -> StoreError:
    return StoreMisconfiguredError(
        f"Cannot {doing}: {endpoint} answers {how}. Check that minio.endpoint is the address of the S3 API, not that "
        "of its console, and whether it must start with https://."
    )


def _of_connection(error: Exception, endpoint: str, doing: str) -> StoreError:
    reason = _innermost(error)
    if isinstance(reason, ssl.SSLCertVerificationError):
        return StoreMisconfiguredError(
            f"Cannot {doing}: the certificate of {endpoint} is not to be trusted ({reason.verify_message}). If its "
            "authority is your own, name its certificate in minio.ca_file."
        )
    if isinstance(reason, ssl.SSLError) and reason.reason in {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"}:
        return StoreMisconfiguredError(
            f"Cannot {doing}: what listens at {endpoint} does not speak TLS. Let minio.endpoint start with http://, "
            "or give the server a certificate."
        )
    return StoreUnavailableError(
        f"Cannot {doing}: {endpoint} cannot be reached ({_words(reason)}). Check minio.endpoint, that the S3 server "
        "runs, and that this machine may connect to it. Everything stored so far is whole; the same run resumes."
    )


def _innermost(error: BaseException) -> BaseException:
    """What the socket or TLS said, below the layers that wrapped it."""
    seen = set()
    while id(error) not in seen:
        seen.add(id(error))
        below = getattr(error, "reason", None) or error.__cause__ or error.__context__
        nested = next((arg for arg in error.args if isinstance(arg, BaseException)), None)
        error = below if isinstance(below, BaseException) else nested or error
    return error


def _words(reason: BaseException) -> str:
    if isinstance(reason, OSError) and reason.strerror:
        return reason.strerror
    if isinstance(reason, TimeoutError | urllib3.exceptions.TimeoutError):
        return "no answer in time"
    return type(reason).__name__
