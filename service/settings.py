"""Settings of the service: the environment's `DIGITS_…`, or the options of `python -m service`."""

from __future__ import annotations

import os
import re
import ssl
from pathlib import Path  # noqa: TC003 - pydantic reads the annotation
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import NoDecode

from service.version_policy import check_policy
from training.settings import StoreSettings

ORIGIN = re.compile(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?|https?://\[[0-9a-fA-F:]+\](:[0-9]{1,5})?")
"""RFC 6454: no path, not even a slash at the end."""


class ServiceSettings(StoreSettings):
    """Read from the environment: `DIGITS_HOST`, `DIGITS_PORT` and so on."""

    host: str = Field(
        "127.0.0.1", min_length=1, description="The address to listen on; 0.0.0.0 is every one of this machine's"
    )
    port: int = Field(8000, ge=0, le=65535, description="The port to listen on; 0 takes any free one")
    workers: int = Field(
        1,
        ge=1,
        description="How many processes answer, each with its own copy of the model and its share of the processors",
    )
    other_models: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="More models to load, with commas between; * is every one in the store"
    )
    versions: str = Field(
        "champion", description="Which versions of each model are loaded: all, latest, aliases, or numbers, with commas"
    )
    poll_interval_s: float = Field(
        5, ge=0, description="So often the store is looked at for new versions; 0 only looks on SIGHUP and when asked"
    )
    canary_share: float = Field(
        0, ge=0, le=1, description="This share of the requests that name no version is answered by the challenger"
    )
    canary_header: str = Field(
        "X-Client-Id", min_length=1, description="Requests with the same text in this header get the same of the two"
    )
    canary_failures_limit: float = Field(
        0.02, ge=0, le=1, description="A challenger that fails on more of its last 200 requests is taken out"
    )
    canary_latency_limit_ms: int = Field(250, ge=1, description="So is one that takes longer for more than 5 % of them")
    shadow_share: float = Field(
        0, ge=0, le=1, description="This share of them is also given to the challenger, whose answers are only compared"
    )
    keys_file: Path | None = Field(
        None, description="The hashes of the keys that open the management routes; without it, these are closed"
    )
    require_key: Annotated[tuple[Literal["predict", "metrics"], ...], NoDecode] = Field(
        (),
        description="What else wants a key: predict, which is all but management, health and metrics; metrics; both, "
        "with a comma between",
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Pages of these origins (https://example.org) may use the service, with commas between; * is all",
    )
    tls_cert: Path | None = Field(
        None, description="The certificate chain (PEM) to speak TLS with; without it, plain HTTP is spoken"
    )
    tls_key: Path | None = Field(None, description="Its private key (PEM, not encrypted)")
    header_timeout_s: float = Field(
        10, gt=0, description="A request whose line and headers take longer to arrive is cut off (408)"
    )
    body_timeout_s: float = Field(
        30,
        gt=0,
        description="So is one whose body takes longer after them, and whoever does not read answers for so long",
    )
    keep_alive_timeout_s: float = Field(
        75, gt=0, description="A connection on which nothing happens for so long is closed"
    )
    connection_limit: int = Field(
        4096, ge=1, description="So many connections each process serves; on more of them the answer is 503"
    )
    body_limit_bytes: int = Field(16 * 2**20, ge=1, description="A request body longer than this is refused (413)")
    picture_limit_pixels: int = Field(
        25_000_000, ge=1, description="A PNG or JPEG picture of more pixels than this is refused undecoded (413)"
    )
    request_limit_rows: int = Field(4096, ge=1, description="A request with more pictures than this is refused (413)")
    queue_limit_rows: int = Field(
        8192, ge=1, description="Pictures that may wait for the engine; what comes on top is refused (503)"
    )
    timeout_limit_ms: int = Field(
        30_000,
        ge=1,
        description="Whoever has sent a request and has no answer after so long gets a 504; "
        "`X-Timeout-Ms` may ask for less",
    )
    drain_pause_s: float = Field(
        0, ge=0, description="After SIGTERM, new requests are taken for so long, though readiness fails at once"
    )
    drain_timeout_s: int = Field(
        20, ge=0, description="After that, accepted requests have this long to finish before they are cut off"
    )
    recent_predictions: int = Field(
        16_384,
        ge=0,
        description="How many predictions each process remembers, so that a correction may name one; 0 for none",
    )
    drift_window_rows: int = Field(
        500, ge=0, description="Each process compares so many of its last answers with those on the card; 0 for none"
    )
    feedback_retention_days: int = Field(
        365, ge=0, description="Corrections that are older are forgotten; 0 keeps them for ever"
    )
    compiled: Path | None = Field(
        None, description="A folder of compiled code, as the image has one, for a store that has none beside it yet"
    )
    log_level: Literal["critical", "error", "warning", "info", "debug"] = Field(
        "warning", description="What is logged; info adds a line for each request"
    )
    log_format: Literal["auto", "json", "console"] = Field(
        "auto", description="How: json, console, or auto, which is console where stderr is a terminal"
    )
    access_log_share: float = Field(
        1, ge=0, le=1, description="Of requests, this share gets its line; those with status 500 and more always do"
    )

    @field_validator("other_models", "require_key", "cors_origins", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(name.strip() for name in value.split(",") if name.strip()) if isinstance(value, str) else value

    @field_validator("versions")
    @classmethod
    def _is_a_policy(cls, value: str) -> str:
        return check_policy(value)

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            if origin != "*" and not ORIGIN.fullmatch(origin):
                raise ValueError(
                    f"{origin!r} is no origin, want https://HOST or http://HOST, with :PORT or without, or *"
                )
        return value

    @model_validator(mode="after")
    def _keys_have_a_file(self) -> Self:
        if self.require_key and self.keys_file is None:
            raise ValueError("require_key wants keys_file: without a file of keys nobody has one")
        if self.keys_file is not None and not os.access(self.keys_file, os.R_OK):
            raise ValueError(f"keys_file {self.keys_file} cannot be read: nobody could use a key")
        return self

    @model_validator(mode="after")
    def _certificate_and_key_can_be_used(self) -> Self:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key go together, want both or none")
        if self.tls_cert and self.tls_key:
            try:
                ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(
                    self.tls_cert, self.tls_key, password=_no_password
                )
            except (OSError, ValueError) as error:
                raise ValueError(
                    f"tls_cert {self.tls_cert} and tls_key {self.tls_key} cannot be used: {error}"
                ) from None
        return self

    @model_validator(mode="after")
    def _largest_request_fits_the_queue(self) -> Self:
        if self.request_limit_rows > self.queue_limit_rows:
            raise ValueError(
                f"request_limit_rows is {self.request_limit_rows}, want at most queue_limit_rows, which is "
                f"{self.queue_limit_rows}: a larger request could never be accepted"
            )
        return self


def _no_password() -> str:
    raise ValueError("the key is encrypted, want one that is not")
