"""HttpProtocol without a socket: a fake transport, and an application that answers when it is told to."""

import asyncio

import uvicorn

from service.server.http_protocol import HttpProtocol, SharedState


class FakeTransport(asyncio.Transport):
    """A transport that remembers what is written, and whether it is read."""

    def __init__(self):
        super().__init__()
        self.written, self.reading, self.closing = b"", True, False

    def write(self, data):
        self.written += data

    def writelines(self, parts):
        self.written += b"".join(parts)

    def pause_reading(self):
        self.reading = False

    def resume_reading(self):
        self.reading = True

    def can_write_eof(self):
        return False

    def is_closing(self):
        return self.closing

    def close(self):
        self.closing = True


class Waiting:
    """An ASGI application that answers each request when it is told to."""

    def __init__(self):
        self.began, self.may_answer = [], asyncio.Semaphore(0)

    async def __call__(self, scope, receive, send):
        self.began.append(scope["path"])
        await self.may_answer.acquire()
        await send({"type": "http.response.start", "status": 204})
        await send({"type": "http.response.body"})


async def settled():
    for _ in range(10):
        await asyncio.sleep(0)


def protocol_of(app, limits):
    """The protocol of a new connection to an application."""
    config = uvicorn.Config(app, log_config=None, lifespan="off", interface="asgi3")
    config.load()
    return HttpProtocol.with_limits(limits, lambda code: None)(config, SharedState(), {})
