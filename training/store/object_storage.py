"""A store in object storage (S3, Google Cloud Storage, Azure): conditional writes, versions verified into a cache.

Objects are where files of a store on disk are, so a copy either way is a store. A version is a prefix with a manifest,
which is written last and only if it does not exist. Before that its publisher claims the number:

    <model>/.claims/<version>.json    who publishes the version; removed afterwards

A claim without a manifest that has not changed for CLAIM_LIFE_S, by the clock of the storage, is of a dead publisher:
the next publisher takes it over by a compare-and-swap and removes what is below it.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import re
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from pydantic import AnyHttpUrl

from training.filesystem import check_room, too_large
from training.store import manifest
from training.store.aliases import operator
from training.store.manifest import (
    MANIFEST,
    MANIFEST_LIMIT_BYTES,
    VERSION_LIMIT_BYTES,
    CorruptVersion,
    StoreError,
    UnreadableFile,
)
from training.store.object_errors import StoreUnavailable, explained, is_about_bucket
from training.store.storage import VERSION, Content

try:
    import obstore
    from obstore.exceptions import AlreadyExistsError, BaseError, NotModifiedError, PreconditionError
    from obstore.store import from_url
except ImportError:
    raise StoreError("a store in object storage wants the package obstore: pip install -e .[object-storage]") from None

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from obstore.store import ClientConfig, RetryConfig

    from training.store.file_cache import FileCache

CLAIMS: Final = ".claims"
CLAIM_LIFE_S: Final = 24 * 3600
"""Time that a publisher has to upload a version; after that another one may remove it."""
KNOWN_LIMIT: Final = 256
"""Maximum number of small files that are kept in memory, to be asked for by If-None-Match."""
KNOWN_LIMIT_BYTES: Final = 64 * 2**10
"""Maximum size of a file that is kept in memory."""
SEEN_S: Final = 300.0
"""Time for which a version that was found is not looked for again."""
TRANSFERS: Final = 8
"""Number of files that are transferred at the same time."""
CHUNK_BYTES: Final = 2**20
CLIENT: Final[ClientConfig] = {
    "connect_timeout": "5s",
    "read_timeout": "20s",  # between two packets
    "timeout": "600s",  # for a whole file
}
"""Timeouts of obstore."""
RETRIES: Final[RetryConfig] = {
    "max_retries": 4,
    "retry_timeout": datetime.timedelta(seconds=30),
    "backoff": {
        "init_backoff": datetime.timedelta(milliseconds=200),
        "max_backoff": datetime.timedelta(seconds=3),
        "base": 2,
    },
}
ENDPOINTS: Final = {
    "s3": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"),
    "az": ("AZURE_STORAGE_ENDPOINT",),
}
ENDPOINT: Final = re.compile(r"https?://[!-~]+")
"""Pydantic takes more than this for a URL, such as spaces in it."""


class ObjectStorage:
    """A store below a URL such as `s3://bucket/prefix`: `storage.Storage` says what the methods do. Thread-safe.

    Credentials, region and endpoint are those that obstore finds: in the environment, or from the machine's metadata.
    """

    locks: Final = False

    def __init__(self, url: str, cache: FileCache) -> None:
        self.location = url
        self.folder = cache.folder / "stores" / hashlib.sha256(url.encode()).hexdigest()[:16]
        self._cache = cache
        self._lock = Lock()
        self._known: dict[str, Content] = {}
        """Small files that were read, the least recent ones first; guarded by the lock."""
        self._seen: dict[str, float] = {}
        """The manifests that were found, and when."""
        http = "http" in _endpoint_schemes(url.partition("://")[0])
        client: ClientConfig = {**CLIENT, "allow_http": True} if http else CLIENT
        try:
            self._bucket: Any = from_url(url, client_options=client, retry_config=RETRIES)
        except (BaseError, ValueError) as error:
            raise StoreError(f"store {url!r} cannot be opened: {explained(error)}") from None

    def address(self, key: str) -> str:
        return f"{self.location}/{key}"

    def folders(self, key: str = "") -> list[str]:
        with self._refusals(key):
            found = obstore.list_with_delimiter(self._bucket, key or None)
        return [prefix.rstrip("/").rpartition("/")[2] for prefix in found["common_prefixes"]]

    def files(self, key: str) -> dict[str, str]:
        with self._refusals(key):
            found = obstore.list_with_delimiter(self._bucket, key)
        return {each["path"].rpartition("/")[2]: _tag(each) for each in found["objects"]}

    def read(self, key: str, limit_bytes: int | None = None) -> Content | None:
        """A file. A small one that was read before costs an answer without a body if it has not changed (304)."""
        known = self._known.get(key)
        options: Any = {"if_none_match": known.tag.partition("\n")[0]} if known else None
        try:
            with self._refusals(key):
                found = obstore.get(self._bucket, key, options=options)
                if limit_bytes is not None and found.meta["size"] > limit_bytes:
                    raise UnreadableFile(f"{self.address(key)} cannot be read: {too_large(limit_bytes)}")
                tag = _tag(found.meta)
                read = Content(bytes(found.bytes()), tag)
        except FileNotFoundError:
            return None
        except NotModifiedError:
            return known
        if len(read.data) <= KNOWN_LIMIT_BYTES:
            with self._lock:
                self._known.pop(key, None)
                self._known[key] = read
                if len(self._known) > KNOWN_LIMIT:
                    del self._known[next(iter(self._known))]
        return read

    def replace(self, key: str, data: bytes, tag: str | None) -> bool:
        """Writes a file by If-Match or If-None-Match.

        An answer may get lost after the file was written, and obstore may have repeated the request: then the file
        itself says whose it is.
        """
        mode: Any = "create"
        if tag is not None:
            e_tag, _, version = tag.partition("\n")
            mode = {name: value for name, value in (("e_tag", e_tag), ("version", version)) if value}
        try:
            with self._refusals(key):
                obstore.put(self._bucket, key, data, mode=mode, use_multipart=False)
        except (AlreadyExistsError, PreconditionError, FileNotFoundError):
            return self._has(key, data)
        except StoreUnavailable:
            if not self._has(key, data):
                raise
        return True

    def changing(self, model: str) -> AbstractContextManager[object]:  # noqa: ARG002 - nobody can be kept out
        return nullcontext()

    def versions(self, model: str) -> list[int]:
        paths = (path.split("/") for path in self._sizes(model))
        return sorted(int(path[1]) for path in paths if path[2:] == [MANIFEST] and VERSION.fullmatch(path[1]))

    def taken(self, model: str) -> list[int]:
        paths = (path.split("/") for path in self._sizes(model))
        names = (
            path[1] if path[2:] == [MANIFEST] else path[2].removesuffix(".json") for path in paths if len(path) == 3
        )
        return sorted(int(name) for name in names if VERSION.fullmatch(name))

    def has_version(self, model: str, version: int) -> bool:
        key = f"{model}/{version}/{MANIFEST}"
        if time.monotonic() < self._seen.get(key, 0):
            return True
        try:
            with self._refusals(key):
                obstore.head(self._bucket, key)
        except FileNotFoundError:
            return False
        self._seen[key] = time.monotonic() + SEEN_S
        return True

    def size_bytes(self, model: str, version: int) -> int:
        key = f"{model}/{version}"
        return sum(size for path, size in self._sizes(key).items() if path != f"{key}/{MANIFEST}")

    def staging(self, model: str) -> AbstractContextManager[Path]:  # noqa: ARG002 - of all models on one disk
        return self._cache.new_folder()

    def add_version(self, model: str, version: int, staged: Path) -> bool:
        key = f"{model}/{version}"
        claim = f"{model}/{CLAIMS}/{version}.json"
        claimed = _claim()
        if not self.replace(claim, claimed, None):
            return False
        if self.has_version(model, version):
            self._delete([claim])
            return False
        try:
            self._remove_leftovers(model, claim)
            self._delete(self._sizes(key))  # what a dead publisher left below the same number
            self._upload(key, staged)
            self._renew(claim, claimed)
        except BaseException:
            with suppress(StoreError):
                self._delete(self._sizes(key))
                self._delete([claim])
            raise
        # From here on the version may be there, whatever is raised.
        added = self.replace(f"{key}/{MANIFEST}", (staged / MANIFEST).read_bytes(), None)
        with suppress(StoreError):  # a later publisher removes it
            self._delete([claim])
        return added

    def remove_version(self, model: str, version: int, unused: Callable[[], bool]) -> bool:
        key, claim = f"{model}/{version}/{MANIFEST}", f"{model}/{CLAIMS}/{version}.json"
        found = self.read(key)
        if found is None or not self.replace(claim, _claim(), None):  # if this process dies, a publisher goes on
            return False
        removed = False
        try:
            self._delete([key])
            self._seen.pop(key, None)
            removed = unused()
        finally:
            if not removed:
                self.replace(key, found.data, None)
        if removed:
            self._delete(self._sizes(f"{model}/{version}/"))
        self._delete([claim])
        return removed

    @contextmanager
    def open_version(self, model: str, version: int) -> Iterator[Path]:
        key = f"{model}/{version}"
        files = manifest.parse(manifest.stored(self, f"{key}/{MANIFEST}", MANIFEST_LIMIT_BYTES), self.address(key))
        with self._cache.new_folder() as folder:
            size = _Size(self.address(key))
            threads = ThreadPoolExecutor(TRANSFERS, "store")
            try:
                for _ in threads.map(
                    lambda file: self._fetch(f"{key}/{file[0]}", file[1], folder / file[0], size), files.items()
                ):
                    pass
                self._cache.shrink()
            except OSError as error:
                raise StoreError(
                    f"{self.address(key)} cannot be put into the cache {self._cache.folder}: {error.strerror or error}"
                ) from None
            finally:
                threads.shutdown(cancel_futures=True)
            yield folder

    def _fetch(self, key: str, sha256: str, target: Path, size: _Size) -> None:
        """Puts a file of a version into a folder, from the cache or from object storage; then the cache has it."""
        target.parent.mkdir(parents=True, exist_ok=True)
        if self._cache.get(sha256, target):
            size.add(target.stat().st_size)
            return
        manifest.compare(self.address(key), self._download(key, target, size), sha256)
        self._cache.add(sha256, target)

    def _download(self, key: str, target: Path, size: _Size) -> str:
        """Writes an object to a file, and returns its SHA-256."""
        digest = hashlib.sha256()
        try:
            with self._refusals(key):
                found = obstore.get(self._bucket, key)
                size.add(found.meta["size"])
                check_room(target.parent, found.meta["size"])
                with target.open("wb") as file:
                    for chunk in found.stream(min_chunk_size=CHUNK_BYTES):
                        file.write(chunk)
                        digest.update(chunk)
        except FileNotFoundError:
            raise CorruptVersion(f"{self.address(key)} is missing, the manifest wants it") from None
        return digest.hexdigest()

    def _upload(self, version: str, staged: Path) -> None:
        """Uploads the files of a folder, without the manifest."""

        def put(name: str) -> None:
            with self._refusals(f"{version}/{name}"):
                obstore.put(self._bucket, f"{version}/{name}", staged / name)

        threads = ThreadPoolExecutor(TRANSFERS, "store")
        try:
            for _ in threads.map(put, manifest.files(staged)):
                pass
        finally:
            threads.shutdown(cancel_futures=True)

    def _renew(self, claim: str, claimed: bytes) -> None:
        """Gives this publisher another CLAIM_LIFE_S. Raises StoreError when another one has removed its files."""
        read = self.read(claim)
        if read is None or read.data != claimed or not self.replace(claim, _claim(), read.tag):
            raise StoreError(f"{self.address(claim)} is of another publisher: the upload took longer than a day")

    def _remove_leftovers(self, model: str, mine: str) -> None:
        """Removes what dead publishers of a model have left. `mine` is the claim of this publisher, made just now."""
        with self._refusals(mine):
            claims = {each["path"]: each for chunk in obstore.list(self._bucket, f"{model}/{CLAIMS}") for each in chunk}
        mine_made = claims.pop(mine)["last_modified"] if mine in claims else None
        for claim, listed in claims.items():
            version = claim.rpartition("/")[2].removesuffix(".json")
            if not mine_made or not VERSION.fullmatch(version) or not _is_old(listed, mine_made):
                continue
            found = self._head(claim)  # a list may be late
            if found and _is_old(found, mine_made) and self.replace(claim, _claim(), _tag(found)):
                if not self.has_version(model, int(version)):
                    self._delete(self._sizes(f"{model}/{version}"))
                self._delete([claim])

    def _has(self, key: str, data: bytes) -> bool:
        read = self.read(key)
        return read is not None and read.data == data

    def _head(self, key: str) -> Any:
        try:
            with self._refusals(key):
                return obstore.head(self._bucket, key)
        except FileNotFoundError:
            return None

    def _sizes(self, key: str) -> dict[str, int]:
        """The sizes of all objects below a prefix, by their keys."""
        with self._refusals(key):
            chunks = list(obstore.list(self._bucket, key))
        return {each["path"]: each["size"] for chunk in chunks for each in chunk}

    def _delete(self, keys: Collection[str]) -> None:
        if keys:
            with self._refusals(next(iter(keys))):
                obstore.delete(self._bucket, list(keys))

    @contextmanager
    def _refusals(self, key: str) -> Iterator[None]:
        """Errors of obstore as a StoreUnavailable of one line, but for those of conditions and FileNotFoundError."""
        try:
            yield
        except (NotModifiedError, AlreadyExistsError, PreconditionError):
            raise
        except (BaseError, FileNotFoundError) as error:
            if isinstance(error, FileNotFoundError) and not is_about_bucket(error):
                raise
            raise StoreUnavailable(f"{self.address(key)} is not available: {explained(error)}") from None


class _Size:
    """The size of a version's files, limited. Thread-safe. `add` raises StoreError above VERSION_LIMIT_BYTES."""

    def __init__(self, version: str) -> None:
        self._version = version
        self._bytes = 0
        self._lock = Lock()

    def add(self, size_bytes: int) -> None:
        with self._lock:
            self._bytes += size_bytes
            if self._bytes > VERSION_LIMIT_BYTES:
                raise StoreError(
                    f"{self._version} has {self._bytes:,} bytes and more in its files, want at most "
                    f"{VERSION_LIMIT_BYTES:,}"
                )


def _endpoint_schemes(kind: str) -> set[str]:
    """The schemes of the endpoints in the environment. Raises StoreError for what is no URL: obstore would panic."""
    found = {name: os.environ[name] for name in ENDPOINTS.get(kind, ()) if os.environ.get(name)}
    for name, endpoint in found.items():
        if not _is_http_url(endpoint):
            raise StoreError(f"{name} is {endpoint!r}, want http://HOST or https://HOST")
    return {endpoint.partition("://")[0] for endpoint in found.values()}


def _is_http_url(text: str) -> bool:
    try:
        AnyHttpUrl(text)
    except ValueError:
        return False
    return ENDPOINT.fullmatch(text) is not None


def _claim() -> bytes:
    """The content of a new claim: who publishes, and a number that makes it unlike all others."""
    return json.dumps({"by": operator(), "id": uuid.uuid4().hex}).encode()


def _is_old(claim: Any, now: datetime.datetime) -> bool:
    return (now - claim["last_modified"]).total_seconds() > CLAIM_LIFE_S


def _tag(meta: Any) -> str:
    """ETag and, where the storage has it, the generation of an object."""
    return f"{meta['e_tag'] or ''}\n{meta['version'] or ''}"
