"""Stores that have grown."""

import http.client
import json
import time

from .load import AUTHORIZATION, event
from .servers import Gateway
from .tools import Failure, say

PER_REQUEST = 10_000  # the gateway's own bound
KINDS = 10
#: In one event of all.
RARE = "needle-in-the-haystack"


def _batch(count, rare):
    """An array of so many events of 300 bytes, of all types in turn."""
    events = [event(300, type=f"Kind {number % KINDS}") for number in range(count)]
    if rare:
        events[count // 2] = event(300, type="Kind 0", name=RARE)
    return ("[" + ",".join(events) + "]").encode()


def fill(gateway, rows):
    """Posts so many events to a running gateway; (seconds it took, an incident from the middle)."""
    began = time.monotonic()
    usual = _batch(min(PER_REQUEST, rows), False)
    client = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=120)
    stored, middle = 0, None
    while stored < rows:
        count = min(PER_REQUEST, rows - stored)
        is_middle = middle is None and stored + count > rows // 2
        body = usual if count == PER_REQUEST and not is_middle else _batch(count, is_middle)
        answer = _post(client, gateway.path, body)
        if is_middle:
            middle = answer[count // 2]
        stored += count
        if stored % 1_000_000 == 0:
            say(f"{stored:,} rows stored")
    client.close()
    return time.monotonic() - began, middle


def _post(client, path, body):
    client.request("POST", path, body, {"Content-Type": "application/json", "Authorization": AUTHORIZATION})
    answer = client.getresponse()
    text = answer.read()
    if answer.status != 200:
        raise Failure(f"filling the store: {answer.status} {text.decode()}")
    return json.loads(text)


def size_mib(gateway: Gateway):
    return sum(file.stat().st_size for file in gateway.directory.glob("bench.db*")) / 2**20
