"""Every way the pipeline can fail, as one tree.

::

    PipelineError
    ├── SettingsError                 a setting is unknown, malformed or contradictory
    ├── StoreError                    the object store
    │   ├── InvalidKeyError           a key that could leave the store or that no store accepts
    │   ├── ObjectNotFoundError       nothing is stored under the key
    │   ├── StoreFullError            no space, or no quota, is left
    │   └── StoreUnavailableError     the store cannot be reached or written            retryable
    │       ├── StoreDeniedError      the store knows us and says no
    │       └── StoreMisconfiguredError  nobody but the operator can mend it: keys, bucket, TLS, clock
    ├── RejectedDocumentError         the input cannot be parsed, whoever tries (carries a reason)
    ├── RenderError                   the render child
    │   ├── RenderTimeoutError        a page took longer than it may
    │   ├── RenderCrashedError        the child died: a crash, or its memory limit
    │   └── RenderFailedError         PDFium reported an error for the page
    ├── RenderUnavailableError        no render child can be had at all; says nothing of a document
    ├── InferenceError                the model server
    │   ├── RequestTimeoutError       no answer in time                              retryable
    │   ├── TransportError            refused, reset, name not resolved              retryable
    │   ├── ServerError               408, 5xx                                       retryable
    │   │   └── ServerOverloadedError 429 and queue-full 503: shed load              retryable
    │   ├── ClientSideError           400, 401, 404, 413, 422 …: our request is wrong
    │   ├── AnswerError               an answer arrived, but it is not whole
    │   │   ├── TruncatedAnswerError  finish_reason ``length``
    │   │   ├── AbortedAnswerError    finish_reason ``abort``                        retryable
    │   │   ├── RepetitiveAnswerError the model fell into a loop
    │   │   ├── EmptyLayoutError      no block found on a page that is not blank
    │   │   ├── EmptyAnswerError      nothing read where the PDF itself has words
    │   │   └── InvalidAnswerError    not what the protocol or the grammar allows
    │   │       └── NotACompletionError not an answer of a model server at all        retryable
    │   └── OutageError               nothing gets through: the run stops resumably
    │       └── CircuitOpenError      the breaker stayed open for the whole outage budget
    ├── ModelServerError              the model server cannot be used as configured
    ├── MessagingError                the message broker
    │   ├── BrokerUnavailableError    no broker answers in time                      retryable
    │   ├── UnknownTopicError         a topic of the settings does not exist
    │   ├── BrokerAccessError         the broker knows us not, or does not let us
    │   └── DeliveryError             a message we sent was not acknowledged         retryable
    ├── RefusedMessageError           a message announces nothing that we accept (carries a reason)
    ├── DagsterInstanceError          the Dagster home cannot be made, read or written
    ├── ScoringInputError             a parse or an assertion about one is not what its format allows
    ├── GateInputError                scores that no gate can compare: unpaired, out of range, of another gate
    ├── QualityError                  a measurement or a baseline that is needed is not there, or does not fit
    ├── SourceError                   the document's bytes cannot be had (missing, unreadable, changed, forbidden)
    ├── CorpusError                   a document of the baseline corpus cannot be made, or not fairly
    │   └── CorpusRoomError           its pages are too small for what it should hold
    └── RunInterruptedError           stopped on request or on its time limit; resumable

``retryable`` says whether the same request may be sent again. What becomes of a document is
decided by :func:`ends_run`: errors that concern everything end the run resumably, all others end
up in the row of their own document.
"""

from __future__ import annotations

from typing import ClassVar


class PipelineError(Exception):
    """Base of every error raised on purpose; its text is written for the person who reads it."""

    #: Stable machine-readable name, used in tables, metrics and events.
    code: ClassVar[str] = "error"
    #: Whether sending or trying the very same thing again can help.
    retryable: ClassVar[bool] = False


class SettingsError(PipelineError):
    """A setting is unknown, malformed or contradictory; names key, value and source."""

    code = "settings"


class StoreError(PipelineError):
    """The object store refused or failed."""

    code = "store"


class InvalidKeyError(StoreError):
    """A key that could leave the store's root, or that some store would not accept."""

    code = "invalid-key"


class ObjectNotFoundError(StoreError):
    """Nothing is stored under the key."""

    code = "object-not-found"


class StoreFullError(StoreError):
    """No space or quota is left."""

    code = "store-full"


class StoreUnavailableError(StoreError):
    """The store cannot be reached, read or written."""

    code = "store-unavailable"
    retryable = True


class StoreDeniedError(StoreUnavailableError):
    """The store knows who asks, and does not permit it."""

    code = "store-denied"
    retryable = False


class StoreMisconfiguredError(StoreUnavailableError):
    """Wrong keys, no such bucket, no trust in its certificate, clocks apart: asking again cannot help."""

    code = "store-misconfigured"
    retryable = False


class RejectedDocumentError(PipelineError):
    """The input cannot be parsed by anyone; ``reason`` is one of the rejection codes."""

    code = "rejected"

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class RenderError(PipelineError):
    """Rendering failed in the child process that opens hostile bytes."""

    code = "render"


class RenderTimeoutError(RenderError):
    """A page, or opening the file, took longer than it may; the child was killed."""

    code = "render-timeout"


class RenderCrashedError(RenderError):
    """The child died: PDFium crashed on the bytes, or the memory limit struck."""

    code = "render-crashed"


class RenderFailedError(RenderError):
    """PDFium reported an error for this page; the child is still well."""

    code = "render-failed"


class RenderUnavailableError(PipelineError):
    """No child can be had: the helper does not start, or the system refuses to fork."""

    code = "render-unavailable"


class InferenceError(PipelineError):
    """A request to the model server brought no usable answer."""

    code = "inference"

    def __init__(self, message: str, *, endpoint: str = "", status: int | None = None, request_id: str = "") -> None:
        super().__init__(message)
        self.endpoint = endpoint
        self.status = status
        self.request_id = request_id


class RequestTimeoutError(InferenceError):
    """No answer in time."""

    code = "timeout"
    retryable = True


class TransportError(InferenceError):
    """The connection was refused or reset, or the name did not resolve."""

    code = "transport"
    retryable = True
    #: Whether the connection stood, the request was sent, and no byte of an answer had come.
    unanswered: bool = False


class ServerError(InferenceError):
    """The server answered 408 or 5xx."""

    code = "server"
    retryable = True
    #: What the answer's ``Retry-After`` asks for; 0 where it asks for nothing.
    retry_after_seconds: float = 0.0


class ServerOverloadedError(ServerError):
    """The server shed load: 429, or 503 because its queue is full."""

    code = "overloaded"


class ClientSideError(InferenceError):
    """The server says that our request is wrong (other 4xx); it tells nothing about its health."""

    code = "client-side"


class AnswerError(InferenceError):
    """An answer arrived, but it cannot be taken as whole."""

    code = "answer"

    def __init__(self, message: str, *, text: str = "", endpoint: str = "", request_id: str = "") -> None:
        super().__init__(message, endpoint=endpoint, request_id=request_id)
        #: What did arrive, for diagnosis; never taken as the answer.
        self.text = text


class TruncatedAnswerError(AnswerError):
    """``finish_reason`` is ``length``: the model ran out of tokens."""

    code = "truncated"


class AbortedAnswerError(AnswerError):
    """``finish_reason`` is ``abort``: the server was stopped in the middle."""

    code = "aborted"
    retryable = True


class RepetitiveAnswerError(AnswerError):
    """The model fell into a loop."""

    code = "repetitive"


class EmptyLayoutError(AnswerError):
    """The model found no block on a page that has ink or text."""

    code = "empty-layout"


class EmptyAnswerError(AnswerError):
    """The model read nothing in a block in which the PDF itself has words."""

    code = "empty-answer"


class InvalidAnswerError(AnswerError):
    """The body is not what the protocol says, or the text is not what the grammar allows."""

    code = "invalid-answer"


class NotACompletionError(InvalidAnswerError):
    """What came is no chat completion: a proxy's page, perhaps, while the server is away."""

    code = "not-a-completion"
    retryable = True


class OutageError(InferenceError):
    """Nothing gets through to any endpoint for longer than the outage budget."""

    code = "outage"


class CircuitOpenError(OutageError):
    """The circuit breaker stayed open for the whole outage budget."""

    code = "circuit-open"


class ModelServerError(PipelineError):
    """The model server cannot be used as configured: disabled, wrong model, not an OpenAI server."""

    code = "model-server"


class MessagingError(PipelineError):
    """The message broker refused or failed; offsets stay where they were."""

    code = "messaging"


class BrokerUnavailableError(MessagingError):
    """No broker answers in time."""

    code = "broker-unavailable"
    retryable = True


class UnknownTopicError(MessagingError):
    """A topic that the settings name does not exist."""

    code = "unknown-topic"


class BrokerAccessError(MessagingError):
    """Authentication failed, or the account may not do this; names what was tried."""

    code = "broker-access"


class DeliveryError(MessagingError):
    """A message that we sent was not acknowledged by the broker."""

    code = "delivery"
    retryable = True


class RefusedMessageError(PipelineError):
    """A message announces nothing that we accept; ``reason`` is one of the codes of dead letters."""

    code = "refused-message"

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class DagsterInstanceError(PipelineError):
    """The Dagster home cannot be made, read or written; names it and the setting."""

    code = "dagster-instance"


class ScoringInputError(PipelineError):
    """A parse to be scored, or an assertion about one, is not what its format allows; names the entry and the fault."""

    code = "scoring-input"


class CorpusError(PipelineError):
    """A document of the baseline corpus cannot be made: something lies outside of a page or over something else."""

    code = "corpus"


class CorpusRoomError(CorpusError):
    """The pages of a document are too small for what it should hold."""

    code = "corpus-room"


class GateInputError(PipelineError):
    """Scores or states that a quality gate or the drift detector cannot use; says which and why."""

    code = "gate-input"


class QualityError(PipelineError):
    """A corpus, measurement or baseline that is asked for is not there, is damaged, or does not fit another."""

    code = "quality"


class SourceError(PipelineError):
    """The bytes of a document cannot be had; ``reason`` says which way."""

    code = "source"

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        #: ``source-missing``, ``source-unreadable``, ``source-changed``, ``source-forbidden`` or ``reference-invalid``.
        self.reason = reason


class RunInterruptedError(PipelineError):
    """The run was stopped on request or on its time limit; what is finished is kept."""

    code = "interrupted"


def ends_run(error: BaseException) -> bool:
    """Whether ``error`` concerns every document, so that the run must stop in a resumable state."""
    everyone = (
        StoreError | SettingsError | OutageError | ModelServerError | RenderUnavailableError | RunInterruptedError
    )
    return isinstance(error, everyone)
