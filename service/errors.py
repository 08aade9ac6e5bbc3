"""What can be wrong with a request, in the words of digits and not of HTTP; `app.py` maps these to status codes."""

from __future__ import annotations

from training.errors import DigitsError


class RequestError(DigitsError):
    """A request that can't be answered.

    `code` is for programs, the message for people; `field` says where (`instances[3]`), `found` what stood there and
    `wanted` what should have.
    """

    def __init__(
        self, code: str, message: str, *, field: str | None = None, found: str | None = None, wanted: str | None = None
    ) -> None:
        super().__init__(message)
        self.code, self.field, self.found, self.wanted = code, field, found, wanted


class MalformedBody(RequestError):
    """The body can't be read at all: it is not UTF-8, not JSON, cut short."""


class WrongValue(RequestError):
    """The request can be read, and one of its values is not what it has to be."""


class TooLarge(RequestError):
    """A body of too many bytes or of too many pictures."""


class WrongMediaType(RequestError):
    """A body of a kind, or in an encoding, that is not spoken here."""


class NotAcceptable(RequestError):
    """The client takes no kind of answer that is spoken here."""


class UnknownModel(RequestError):
    """No such model is loaded."""


class UnknownVersion(RequestError):
    """No such version or alias of a loaded model."""


class UnknownPrediction(RequestError):
    """A prediction that is not remembered, or not any more."""


class KeyReused(RequestError):
    """A client used the key of one correction for another one."""


class FeedbackOff(RequestError):
    """No corrections are taken here."""


class FeedbackUnavailable(RequestError):
    """The database of corrections does not do what it is asked, or too many are waiting for it."""


class NotReady(RequestError):
    """Nothing is loaded yet, the service is draining, or its engine has stopped."""


class Unauthorised(RequestError):
    """A management route was asked for without a key, or with one that is not known."""


class Forbidden(RequestError):
    """A management route was asked for where there is no management."""


class VersionRefused(RequestError):
    """A version that is wanted could not be loaded; what ran before goes on."""


class FollowsStore(RequestError):
    """A model is to be unloaded by request, where what is loaded follows the store."""


class BrokenAnswer(DigitsError):
    """A model answered with something that is not a probability: its fault, not the request's."""
