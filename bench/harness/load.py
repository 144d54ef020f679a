"""The load: wrk over HTTP/1.1, h2load over HTTP/2."""

import base64
import json
import math
import os
import subprocess
import time
from dataclasses import dataclass, field

from .servers import LOGIN, Run
from .tools import BENCH, Failure

WARM_UP_SECONDS = 1  # the first connections and pages cost more than the later ones
PATIENCE_SECONDS = 30  # some peers let a few clients wait for seconds
AUTHORIZATION = "Basic " + base64.b64encode(":".join(LOGIN).encode()).decode()


@dataclass(frozen=True)
class Body:
    """What is posted."""

    name: str
    text: str
    incidents: int = 1
    headers: dict = field(default_factory=dict, hash=False)
    #: A header that has another value in each request.
    varied: str | None = None


def event(length, **more):
    """One event as a sender would post it, of exactly so many bytes."""
    raw = {
        "host": "web-07",
        "source": "203.0.113.9",
        "rule": "too many failed sign-ins",
        "count": 42,
        "score": 0.87,
        "tags": ["auth", "brute-force"],
        "url": "https://intranet.example/login",
        "note": "",
    }
    whole = {"name": "Benchmark event", "type": "Bench", "occurred": "2026-02-11T09:05:00Z", "rawJson": raw, **more}
    text = json.dumps(whole, separators=(",", ":"))
    # A log line is what makes real events long.
    words = "Failed password for invalid user admin from 203.0.113.9 port 50432 ssh2; "
    missing = length - len(text)
    raw["note"] = (words * (missing // len(words) + 1))[: max(missing, 0)]
    return json.dumps(whole, separators=(",", ":"))


SMALL = Body("300 B", event(300))
BODIES = {
    "300": SMALL,
    "2k": Body("2 KiB", event(2 << 10)),
    "100k": Body("100 KiB", event(100 << 10)),
    "array": Body("array of 100 × 300 B", "[" + ",".join([event(300)] * 100) + "]", incidents=100),
}


@dataclass(frozen=True)
class Load:
    """How many at once, and over what."""

    connections: int
    #: At once on one connection: HTTP/2 if given.
    streams: int | None = None

    @property
    def at_once(self):
        return self.connections * (self.streams or 1)

    def __str__(self):
        return f"{self.connections}" if self.streams is None else f"{self.connections} × {self.streams}"


def post(server, load, body, seconds):
    """One run: throughput, percentiles and the server's CPU time a request."""
    client = _wrk if load.streams is None else _h2load
    before = server.cpu_seconds()
    result = client(server, load, body, seconds)
    if not result["requests"]:
        raise Failure(f"{server.name}, {body.name}, {load} connections: no request was answered: {result}")
    result["cpu_us"] = (server.cpu_seconds() - before) * 1e6 / result["requests"]
    result["requests_per_second"] = result["requests"] / result["seconds"]
    return result


def _threads(load):
    return min(load.connections, os.cpu_count() or 1)


def _body_file(server, body):
    file = server.directory / "body.json"
    file.write_text(body.text)
    return file


def _headers(body):
    return {"Content-Type": "application/json", "Authorization": AUTHORIZATION, **body.headers}


def _wrk(server, load, body, seconds):
    """As post.lua reports it."""
    headers = [f"{name}: {value}" for name, value in _headers(body).items()]
    # Unlike in every other run, of this benchmark and of all before it on the same store.
    varied = [f"{body.varied}: {time.time_ns():x}-*"] if body.varied else []
    words = ["-t", _threads(load), "-c", load.connections, "-d", f"{seconds}s", "--timeout", f"{PATIENCE_SECONDS}s", "--latency"]
    command = ["wrk", *words, "-s", BENCH / "post.lua", server.url, "--", _body_file(server, body), *headers, *varied]
    output = subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL).stdout
    return json.loads(next(line for line in output.splitlines() if line.startswith("RESULT "))[7:])


def _h2load(server, load, body, seconds):
    """h2load itself gives no percentiles: they are made of its log, one line a request."""
    log = server.directory / "h2load.log"
    headers = [word for name, value in _headers(body).items() for word in ("-H", f"{name}: {value}")]
    words = ["-t", _threads(load), "-c", load.connections, "-m", load.streams, "-D", seconds, "--log-file", log]
    command = ["h2load", *words, "-d", _body_file(server, body), *headers, server.url]
    output = subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL).stdout
    if "Application protocol: h2" not in output:
        raise Failure(f"{server.name} does not speak HTTP/2:\n{output}")
    times, refused, broken = [], 0, 0
    with log.open() as lines:
        for line in lines:
            _, status, microseconds = line.split("\t")[:3]
            if status == "200":
                times.append(int(microseconds))
            elif status == "-1":
                broken += 1
            else:
                refused += 1
    log.unlink()
    times.sort()
    # What is in flight at the end is cut off by h2load and appears as broken.
    broken = max(0, broken - load.at_once)
    shares = {f"p{name}_us": percentile(times, share) for name, share in (("50", 0.5), ("99", 0.99), ("999", 0.999))}
    return {"requests": len(times), "seconds": seconds, **shares, "max_us": times[-1] if times else 0, "refused": refused, "broken": broken}


def percentile(sorted_times, share):
    """The smallest value that at least this share of them does not exceed."""
    return sorted_times[max(0, math.ceil(share * len(sorted_times)) - 1)] if sorted_times else 0


def warm_and_post(server, load, body, seconds):
    """(the run that counts, both runs as `Server.verify` wants them)."""
    results = [post(server, load, body, length) for length in (WARM_UP_SECONDS, seconds)]
    return results[1], [Run(result["requests"], load.at_once, body.incidents) for result in results]


def must_be_clean(server, load, result):
    """Every request of the gateway and of the yardsticks must get a 200."""
    if result["refused"] or result["broken"]:
        raise Failure(f"{server.name} at {load} connections: {result}")
