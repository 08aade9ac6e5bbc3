"""Settings of the service, from environment variables `DIGITS_…` or the options of `python -m service`."""

from __future__ import annotations

import os
import re
import ssl
from pathlib import Path  # noqa: TC003 - pydantic reads the annotation
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import NoDecode

from service.version_policy import check_policy
from training.processors import Device  # noqa: TC001 - pydantic reads the annotation
from training.settings import StoreSettings

ORIGIN = re.compile(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?|https?://\[[0-9a-fA-F:]+\](:[0-9]{1,5})?")
"""An origin by RFC 6454: scheme, host and port, without a path or a slash at the end."""

ROOT_PATH = re.compile(r"(/(?!\.{1,2}(/|$))[A-Za-z0-9._~-]+)+")
"""A path without a slash at the end, and without the segments `.` and `..`."""


class ServiceSettings(StoreSettings):
    """Settings of the service, read from environment variables: `DIGITS_HOST`, `DIGITS_PORT` and so on."""

    host: str = Field(
        "127.0.0.1", min_length=1, description="Address to listen on; `0.0.0.0` means every IPv4 address of the machine"
    )
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 takes any free port")
    root_path: str | None = Field(
        None,
        description="Path prefix under which a proxy shows the service, such as `/digits`, whether the proxy strips it "
        "or not; no route of the service may begin with it",
    )
    workers: int = Field(
        1,
        ge=1,
        description="Number of worker processes; each has its own copy of the model and an equal share of the "
        "processors",
    )
    device: Device = Field(
        "cpu",
        description="Where networks are computed: `cpu`, which answers one picture soonest; `gpu` or `tpu`, which the "
        "image has with `ACCELERATOR`; `auto` is an accelerator if JAX finds one",
    )
    heartbeat_timeout_s: float = Field(
        10,
        ge=3,
        description="Seconds without a heartbeat, one a second, after which a worker that stands still gets no more "
        "connections, is replaced and ended; with several workers",
    )
    other_models: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Models to load besides the default model, separated by commas; `*` means every model in the store",
    )
    versions: str = Field(
        "champion",
        description="Which versions of each model are loaded: `all`, `latest`, aliases or version numbers, separated "
        "by commas",
    )
    poll_interval_s: float = Field(
        5,
        ge=0,
        description="Longest time in seconds between two looks at the store for new versions; 0 turns polling off: the "
        "service then looks only on SIGHUP, on `POST /manage/reload` and on a `/v2` load",
    )
    load_timeout_s: float = Field(
        300,
        gt=0,
        description="Seconds that the store may take for an answer, and a version to load and compile; what takes "
        "longer is rejected, and the running versions go on",
    )
    canary_share: float = Field(
        0, ge=0, le=1, description="Share of the requests without a version, from 0 to 1, that the challenger answers"
    )
    canary_header: str = Field(
        "X-Client-Id",
        min_length=1,
        description="Request header whose value identifies a client for the canary: requests with the same value are "
        "answered by the same version",
    )
    canary_failures_limit: float = Field(
        0.02,
        ge=0,
        le=1,
        description="Maximum failure rate of a challenger, from 0 to 1; a challenger that fails on a larger share of "
        "its last 200 requests is disabled",
    )
    canary_latency_limit_ms: int = Field(
        250,
        ge=1,
        description="Maximum latency of a canary request in ms; a challenger that exceeds it for more than 5 % of its "
        "last 200 requests is disabled",
    )
    shadow_share: float = Field(
        0,
        ge=0,
        le=1,
        description="Share of the requests without a version, from 0 to 1, that are copied to the challenger; its "
        "answers are compared with the champion's and never sent to clients",
    )
    keys_file: Path | None = Field(
        None,
        description="File with the hashes of the API keys, read again every second; without this file the management "
        "routes are closed",
    )
    require_key: Annotated[tuple[Literal["predict", "metrics"], ...], NoDecode] = Field(
        (),
        description="Routes that need a key besides the management routes: `predict` (all routes except health, "
        "metrics, the page and the documentation; also `/readyz?verbose`), `metrics`, or both, separated by a comma",
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Origins, such as https://example.org, whose pages may call the service from a browser (CORS), "
        "separated by commas; `*` means every origin",
    )
    tls_cert: Path | None = Field(
        None, description="PEM file with the TLS certificate chain; without this file the service speaks plain HTTP"
    )
    tls_key: Path | None = Field(
        None, description="PEM file with the private key of the TLS certificate, not encrypted"
    )
    header_timeout_s: float = Field(
        10,
        gt=0,
        description="Seconds a client may take for the TLS handshake, and to send the request line and the headers; a "
        "slower request gets a 408",
    )
    body_timeout_s: float = Field(
        30,
        gt=0,
        description="Seconds a client may take to send the body after the headers (a slower request gets a 408), and "
        "seconds a client may leave an answer unread before the connection is closed",
    )
    keep_alive_timeout_s: float = Field(75, gt=0, description="Seconds after which an idle connection is closed")
    connection_max_age_s: float = Field(
        0,
        ge=0,
        description="Seconds, give or take a tenth, after which the next answer on a connection closes it and says "
        "`Connection: close`, so that clients that stay connected get to new pods, too; 0 is no limit",
    )
    connection_limit: int = Field(
        4096,
        ge=1,
        description="Maximum number of connections of each process; requests on further connections get a 503",
    )
    body_limit_bytes: int = Field(
        16 * 2**20,
        ge=1,
        description="Maximum size of a request body in bytes, compressed and decompressed; a larger body gets a 413",
    )
    picture_limit_pixels: int = Field(
        25_000_000,
        ge=1,
        description="Maximum number of pixels of a picture in an image file, for TIFF a half and for WebP a quarter of "
        "it; a larger picture gets a 413 before it is decoded",
    )
    request_limit_rows: int = Field(
        4096, ge=1, description="Maximum number of pictures in one request; a request with more gets a 413"
    )
    queue_limit_rows: int = Field(
        8192,
        ge=1,
        description="Maximum number of pictures that wait in the queue of a version; a request that would exceed it "
        "gets a 503",
    )
    timeout_limit_ms: int = Field(
        30_000,
        ge=1,
        description="Maximum time from the headers of a prediction request to its answer in ms, after which the "
        "request gets a 504; a request may ask for less with `X-Timeout-Ms`",
    )
    drain_pause_s: float = Field(
        0,
        ge=0,
        description="Seconds after SIGTERM during which new connections are still accepted while `/readyz` already "
        "answers 503, so that load balancers notice",
    )
    drain_timeout_s: int = Field(
        20,
        ge=0,
        description="Seconds that accepted requests have to finish after the drain pause before their connections are "
        "closed",
    )
    recent_predictions: int = Field(
        16_384,
        ge=0,
        description="Number of predictions that each process remembers, so that a correction can name a prediction "
        "instead of sending its picture; 0 remembers none",
    )
    drift_window_rows: int = Field(
        500,
        ge=0,
        description="Number of most recent answers of a version, in each process, that drift is computed from; 0 "
        "turns drift off",
    )
    feedback_retention_days: int = Field(
        365, ge=0, description="Days after which a correction is deleted; 0 keeps corrections for ever"
    )
    feedback_limit_per_minute: int = Field(
        120,
        ge=0,
        description="Maximum number of corrections that each process takes from one client in a minute; more get a "
        "429. Clients are told apart by the owner of their key, or without a key by their address, which all clients "
        "of a proxy share; 0 is no limit",
    )
    compiled: Path | None = Field(
        None,
        description="Folder with compiled code that a store without compiled code is filled from; the container image "
        "has such a folder",
    )
    log_level: Literal["critical", "error", "warning", "info", "debug"] = Field(
        "warning",
        description="Lowest level that is logged: `debug`, `info`, `warning`, `error` or `critical`; `info` adds a "
        "line for each request",
    )
    log_format: Literal["auto", "json", "console"] = Field(
        "auto",
        description="Format of log lines: `json`, `console` (for people), or `auto`, which is `console` when stderr "
        "is a terminal and `json` otherwise",
    )
    access_log_share: float = Field(
        1,
        ge=0,
        le=1,
        description="Share of the requests, from 0 to 1, that get a log line at level `info`; requests with a status "
        "of 500 or more always get one",
    )

    @field_validator("other_models", "require_key", "cors_origins", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(name.strip() for name in value.split(",") if name.strip()) if isinstance(value, str) else value

    @field_validator("root_path")
    @classmethod
    def _is_a_path(cls, value: str | None) -> str | None:
        if value and not ROOT_PATH.fullmatch(value):
            raise ValueError(f"{value!r} is no path prefix, want one such as /digits, without / at its end")
        return value

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
        if self.keys_file is not None and not self.keys_file.is_file():
            raise ValueError(f"keys_file {self.keys_file} is no regular file: nobody could use a key")
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
