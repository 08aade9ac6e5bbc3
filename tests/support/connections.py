"""HTTP/1.1 by hand over a socket: requests as bytes, and the answers that come back on the connection."""

import json
import socket

from tests.support.fake_predictor import picture

GOOD = json.dumps({"pixels": picture(7).ravel().tolist()}).encode()


def connected(address):
    return socket.create_connection(address, timeout=10)


def flat(digit):
    return picture(digit).ravel().tolist()


def asked_of(path, digits):
    """The body that asks for pictures of these digits in the protocol of a path."""
    if path == "/predict":
        return json.dumps({"instances": [flat(digit) for digit in digits]}).encode()
    if path.startswith("/v1"):
        return json.dumps({"inputs": [flat(digit) for digit in digits]}).encode()
    data = [flat(digit) for digit in digits]
    tensor = {"name": "pixels", "shape": [len(data), 784], "datatype": "UINT8", "data": data}
    return json.dumps({"inputs": [tensor]}).encode()


def request_with(body, length=None, path="/predict"):
    length = length or f"Content-Length: {len(body)}"
    return f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{length}\r\n\r\n".encode() + body


def answers(connection, count):
    """So many answers of a connection: status and what the body says."""
    found, held = [], b""
    while len(found) < count:
        head, end, rest = held.partition(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]) if end else 0
        if end and len(rest) >= length:
            found.append((int(head.split()[1]), json.loads(rest[:length])))
            held = rest[length:]
            continue
        arrived = connection.recv(100_000)
        assert arrived, held
        held += arrived
    return found


def answers_well(address):
    with connected(address) as connection:
        connection.sendall(request_with(GOOD))
        ((status, answer),) = answers(connection, 1)
        return status == 200 and answer["digit"] == 7


def is_alive(address):
    with connected(address) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        return answers(connection, 1)[0][0] == 200
