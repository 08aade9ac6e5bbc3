"""Errors of object storage: what went wrong in one line, out of what obstore says in many."""

from __future__ import annotations

import re
from typing import Final

from training.store.manifest import StoreError

_CODE: Final = re.compile(r"<Code>(\w+)</Code>(?:.*?<Message>(.*?)</Message>)?", re.DOTALL)
_KNOWN: Final = {
    "NoSuchBucket": "there is no such bucket",
    "NoSuchContainer": "there is no such container",
    "ContainerNotFound": "there is no such container",
    "ExpiredToken": "the credentials have expired",
    "ExpiredTokenException": "the credentials have expired",
    "TokenRefreshRequired": "the credentials have expired",
    "AccessDenied": "access is denied",
    "AuthorizationFailure": "access is denied",
    "InvalidAccessKeyId": "the access key is unknown",
    "SignatureDoesNotMatch": "the secret access key is wrong",
}
_SIGNS: Final = (
    ("connection refused", "nobody listens at the endpoint (connection refused)"),
    ("dns error", "the name of the endpoint is unknown"),
    ("failed to lookup", "the name of the endpoint is unknown"),
    ("timed out", "it has not answered in time"),
    ("timedout", "it has not answered in time"),
    ("169.254.169.254", "no credentials were found, neither in the environment nor from the machine's metadata"),
    ("certificate", "its TLS certificate is not trusted"),
    ("connection reset", "the connection was reset"),
    ("403 forbidden", "access is denied"),
    ("401 unauthorized", "access is denied"),
)
_LENGTH: Final = 200


class StoreUnavailable(StoreError):
    """Object storage does not answer, or refuses."""


def explained(error: Exception) -> str:
    """The reason of an error of obstore, in one line."""
    text = str(error)
    if found := _CODE.search(text):
        code, message = found.groups()
        return f"{_KNOWN.get(code, message or 'the request failed')} ({code})"
    lower = text.lower()
    for sign, reason in _SIGNS:
        if sign in lower:
            return reason
    return " ".join(text.partition("Debug source:")[0].split())[:_LENGTH]


def is_about_bucket(error: Exception) -> bool:
    """Whether an error is about a bucket, and not an object, that does not exist."""
    return any(code in str(error) for code in ("NoSuchBucket", "NoSuchContainer", "ContainerNotFound"))
