"""A server of S3's protocol on this machine, in memory: conditional writes, signatures, and faults that tests inject.

It answers what obstore asks for as S3 does: https://docs.aws.amazon.com/AmazonS3/latest/API. Requests are handled one
at a time, so a condition and the write that it is for are one step.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlsplit
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BUCKET: Final = "digits"
ACCESS_KEY, SECRET_KEY, REGION = "anna", "not so secret", "us-east-1"
STATUS: Final = {
    "NoSuchBucket": 404,
    "NoSuchKey": 404,
    "NoSuchUpload": 404,
    "PreconditionFailed": 412,
    "InvalidAccessKeyId": 403,
    "SignatureDoesNotMatch": 403,
    "InvalidRange": 416,
    "NotImplemented": 501,
}
PAGE: Final = 1000


class Refused(Exception):
    """An error of S3, by its code."""


class Stored(NamedTuple):
    """An object."""

    data: bytes
    e_tag: str
    changed_s: float


class Request(NamedTuple):
    """A request that the server has answered; the path has the query."""

    method: str
    path: str
    status: int
    size_bytes: int
    """Of the answer's body."""
    when_s: float
    """Time of the answer by `time.monotonic()`."""


@dataclass
class Fault:
    """What happens to requests with a method and a path that match, after the first `skip` and until `times` were met.

    `status` and `code` are answered in place of the server, `delay_s` delays the answer, and `cut` breaks the
    connection: "before" the server does what it is asked for, "after" that, or in the "middle" of the answer's body.
    `as_before` answers as the first of these requests was answered. `call` is called when a connection is cut.
    """

    method: str = "GET|HEAD|PUT|POST|DELETE"
    path: str = ""
    skip: int = 0
    times: int | None = None
    status: int = 0
    code: str = "InternalError"
    delay_s: float = 0.0
    cut: str = ""
    as_before: bool = False
    call: Callable[[], object] = lambda: None
    seen: int = 0
    met: int = 0
    answers: dict[str, tuple[int, dict[str, str], bytes]] = field(default_factory=dict)

    def takes(self, method: str, path: str) -> bool:
        """Whether the fault is for this request, which is counted."""
        if not re.fullmatch(self.method, method) or not re.search(self.path, path):
            return False
        self.seen += 1
        if self.seen <= self.skip or (self.times is not None and self.met >= self.times):
            return False
        self.met += 1
        return True


class Objects:
    """Buckets and the objects in them. Answers are a status, headers and a body."""

    def __init__(self) -> None:
        self.buckets: dict[str, dict[str, Stored]] = {}
        self._uploads: dict[str, dict[int, bytes]] = {}

    def answer(
        self, method: str, path: str, query: dict[str, str], headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        """Does what a request asks for. Raises Refused."""
        bucket, _, key = path.removeprefix("/").partition("/")
        if bucket not in self.buckets:
            raise Refused("NoSuchBucket")
        objects = self.buckets[bucket]
        if not key:
            if method == "GET" and query.get("list-type") == "2":
                return 200, {}, _listed(objects, query)
            if method == "POST" and "delete" in query:
                keys = [each.text or "" for each in ET.fromstring(body).iter() if each.tag.endswith("Key")]
                for each in keys:
                    objects.pop(each, None)
                return 200, {}, b"".join([b"<DeleteResult>", *map(_deleted, keys), b"</DeleteResult>"])
        elif method in ("GET", "HEAD"):
            return _read(objects, key, headers)
        elif method == "DELETE":
            objects.pop(key, None)
            return 204, {}, b""
        elif "uploads" in query or "uploadId" in query:
            return self._in_parts(method, objects, key, query, headers, body)
        elif method == "PUT":
            _check(objects.get(key), headers)
            objects[key] = Stored(body, f'"{hashlib.md5(body).hexdigest()}"', time.time())
            return 200, {"ETag": objects[key].e_tag}, b""
        raise Refused("NotImplemented")

    def _in_parts(self, method, objects, key, query, headers, body) -> tuple[int, dict[str, str], bytes]:
        if method == "POST" and "uploads" in query:
            name = f"upload-{len(self._uploads)}"
            self._uploads[name] = {}
            return 200, {}, _xml("InitiateMultipartUploadResult", UploadId=name)
        parts = self._uploads.get(query["uploadId"])
        if parts is None:
            raise Refused("NoSuchUpload")
        if method == "PUT":
            parts[int(query["partNumber"])] = body
            return 200, {"ETag": f'"{hashlib.md5(body).hexdigest()}"'}, b""
        del self._uploads[query["uploadId"]]
        _check(objects.get(key), headers)
        data = b"".join(parts[number] for number in sorted(parts))
        objects[key] = Stored(data, f'"{hashlib.md5(data).hexdigest()}-{len(parts)}"', time.time())
        return 200, {}, _xml("CompleteMultipartUploadResult", ETag=objects[key].e_tag)


class S3Server:
    """The server, in a thread. `environment` is what obstore finds it by."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.objects = Objects()
        self.objects.buckets[BUCKET] = {}
        self._faults: list[Fault] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="s3", daemon=True)
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=4096), self._loop
        ).result()
        self.port: int = self._server.sockets[0].getsockname()[1]
        self.environment = {
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_REGION": REGION,
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
        }

    def close(self) -> None:
        """Stops listening, and drops all connections."""

        async def stop() -> None:
            self._server.close()
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @contextmanager
    def fault(self, **what: object) -> Iterator[Fault]:
        """Injects a `Fault` while the block runs."""
        fault = Fault(**what)  # type: ignore[arg-type]
        self._faults.append(fault)
        try:
            yield fault
        finally:
            self._faults.remove(fault)

    @contextmanager
    def recorded(self) -> Iterator[list[Request]]:
        """The requests that are answered in the block; the list is complete after it."""
        first, found = len(self.requests), []
        yield found
        found += self.requests[first:]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while True:
                line, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().rstrip("\r\n").split("\r\n")
                method, target, _ = line.split(" ")
                headers = {name.lower(): value.strip() for name, _, value in (each.partition(":") for each in lines)}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                fault = next((fault for fault in self._faults if fault.takes(method, target)), Fault())
                if fault.delay_s:
                    await asyncio.sleep(fault.delay_s)
                if fault.cut == "before":
                    fault.call()
                    break
                status, sent, content = self._answer(fault, method, target, headers, body)
                head = {"Date": formatdate(usegmt=True), "Content-Length": str(len(content))} | sent
                encoded = f"HTTP/1.1 {status} Whatever\r\n" + "".join(f"{k}: {v}\r\n" for k, v in head.items()) + "\r\n"
                if method == "HEAD" or status == 304:
                    content = b""
                self.requests.append(Request(method, target, status, len(content), time.monotonic()))
                if fault.cut:
                    fault.call()
                    if fault.cut == "middle":
                        writer.write(encoded.encode() + content[: len(content) // 2])
                        await writer.drain()
                    break
                writer.write(encoded.encode() + content)
                await writer.drain()
        writer.close()

    def _answer(
        self, fault: Fault, method: str, target: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        if fault.status:
            return fault.status, {}, _xml("Error", Code=fault.code, Message="injected")
        if fault.as_before and target in fault.answers:
            return fault.answers[target]
        url = urlsplit(target)
        try:
            check_signature(method, url.path, url.query, headers)
            query = dict(parse_qsl(url.query, keep_blank_values=True))
            found = self.objects.answer(method, unquote(url.path), query, headers, body)
        except Refused as refused:
            (code,) = refused.args
            found = STATUS[code], {}, _xml("Error", Code=code, Message="refused")
        if fault.as_before:
            fault.answers[target] = found
        return found


def check_signature(method: str, path: str, query: str, headers: dict[str, str]) -> None:
    """Raises Refused unless a request is signed by AWS Signature Version 4."""
    given = dict(re.findall(r"(\w+)=([^,\s]+)", headers.get("authorization", "")))
    key, date, region, service, end = given.get("Credential", "////").split("/")
    if key != ACCESS_KEY:
        raise Refused("InvalidAccessKeyId")
    names = given["SignedHeaders"]
    lines = [f"{name}:{headers[name]}" for name in names.split(";")]
    pairs = sorted((quote(k, safe="-_.~"), quote(v, safe="-_.~")) for k, v in parse_qsl(query, keep_blank_values=True))
    asked = [method, path, "&".join(f"{k}={v}" for k, v in pairs), *lines, "", names, headers["x-amz-content-sha256"]]
    scope = f"{date}/{region}/{service}/{end}"
    hashed = hashlib.sha256("\n".join(asked).encode()).hexdigest()
    signed = f"AWS4-HMAC-SHA256\n{headers['x-amz-date']}\n{scope}\n{hashed}"
    secret = f"AWS4{SECRET_KEY}".encode()
    for part in (date, region, service, end, signed):
        secret = hmac.digest(secret, part.encode(), "sha256")
    if secret.hex() != given["Signature"]:
        raise Refused("SignatureDoesNotMatch")


def _check(found: Stored | None, headers: dict[str, str]) -> None:
    """The conditions of a write: If-None-Match: *, and If-Match with an ETag."""
    if headers.get("if-none-match") == "*" and found:
        raise Refused("PreconditionFailed")
    if wanted := headers.get("if-match"):
        if not found:
            raise Refused("NoSuchKey")
        if wanted.strip('"') != found.e_tag.strip('"'):
            raise Refused("PreconditionFailed")


def _read(objects: dict[str, Stored], key: str, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
    found = objects.get(key)
    if not found:
        raise Refused("NoSuchKey")
    sent = {"ETag": found.e_tag, "Last-Modified": formatdate(found.changed_s, usegmt=True), "Accept-Ranges": "bytes"}
    if headers.get("if-none-match", "").strip('"') == found.e_tag.strip('"'):
        return 304, sent, b""
    if wanted := headers.get("if-match"):
        _check(found, {"if-match": wanted})
    if asked := re.fullmatch(r"bytes=(\d+)-(\d*)", headers.get("range", "")):
        first, last = int(asked[1]), min(int(asked[2] or len(found.data) - 1), len(found.data) - 1)
        if first > last:
            raise Refused("InvalidRange")
        sent["Content-Range"] = f"bytes {first}-{last}/{len(found.data)}"
        return 206, sent, found.data[first : last + 1]
    return 200, sent, found.data


def _listed(objects: dict[str, Stored], query: dict[str, str]) -> bytes:
    """ListObjectsV2: pages of objects and common prefixes, in the order of their keys."""
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
    after = query.get("continuation-token") or query.get("start-after", "")
    entries: dict[str, Stored | None] = {}
    for key in sorted(key for key in objects if key.startswith(prefix)):
        rest, found, _ = key[len(prefix) :].partition(delimiter) if delimiter else (key, "", "")
        name = prefix + rest + delimiter if found else key
        if name > after:
            entries[name] = None if found else objects[key]
    page = list(entries.items())[: min(PAGE, int(query.get("max-keys", PAGE)))]
    root = ET.Element("ListBucketResult", xmlns="http://s3.amazonaws.com/doc/2006-03-01/")
    ET.SubElement(root, "IsTruncated").text = str(len(page) < len(entries)).lower()
    ET.SubElement(root, "KeyCount").text = str(len(page))
    if len(page) < len(entries):
        ET.SubElement(root, "NextContinuationToken").text = page[-1][0]
    for name, stored in page:
        each = ET.SubElement(root, "Contents" if stored else "CommonPrefixes")
        ET.SubElement(each, "Key" if stored else "Prefix").text = name
        if stored:
            changed = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(stored.changed_s))
            ET.SubElement(each, "LastModified").text = changed
            ET.SubElement(each, "ETag").text = stored.e_tag
            ET.SubElement(each, "Size").text = str(len(stored.data))
    return ET.tostring(root, xml_declaration=True, encoding="utf-8")


def _deleted(key: str) -> bytes:
    each = ET.Element("Deleted")
    ET.SubElement(each, "Key").text = key
    return ET.tostring(each)


def _xml(tag: str, **fields: str) -> bytes:
    root = ET.Element(tag)
    for name, value in fields.items():
        ET.SubElement(root, name).text = value
    return ET.tostring(root, xml_declaration=True, encoding="utf-8")
