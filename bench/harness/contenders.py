"""Who is measured: the gateway in its variants, the bare server, the peers."""

import hashlib
import hmac
import json
from dataclasses import dataclass, replace
from typing import Callable

from .load import SMALL, Body
from .servers import Bare, Gateway, Peer, Server


@dataclass(frozen=True)
class Contender:
    name: str
    #: Makes the server: directory, (certificate, key) or None, environment.
    make: Callable[..., Server]
    #: In bench/peers, if that is what it is.
    peer: str | None = None
    #: Posts this, whatever the section says.
    body: Body | None = None


def bare(binary):
    return Contender("bare hyper", lambda directory, tls, _: Bare(binary, directory, tls))


def gateway(binary, name="hookgate, durable", body=None, **config):
    return Contender(name, lambda directory, tls, environment: Gateway(binary, directory, tls, environment=environment, **config), body=body)


def peer(folder, name, **options):
    return Contender(name, lambda directory, tls, environment: Peer(folder, directory, tls, environment=environment, **options), peer=folder)


def nginx(cpus):
    return peer("nginx", "nginx, `return 200`", workers=cpus)


DURABLE_PEERS = [
    peer("fastapi", "FastAPI, SQLite, 1 worker", stores=True),
    peer("fastapi", "FastAPI, SQLite, 2 workers", stores=True, workers=2),
    peer("node", "Node, better-sqlite3", stores=True),
]
OTHER_PEERS = [
    peer("fastapi", "FastAPI, no store, 1 worker"),
    peer("fastapi", "FastAPI, no store, 2 workers", workers=2),
    peer("webhook", "webhook, `/bin/true`", path="/hooks/bench"),
]

# --- the gateway's variants -------------------------------------------------------------------------------------------

#: Any header that senders number their deliveries by.
DELIVERY = "X-Delivery"
SECRET = "correct-horse-battery-staple-too"

MAP = """\
[instance.map]
name = '"\\(.rawJson.rule) on \\(.rawJson.host)"'
type = ".type"
occurred = ".occurred"
duplication_key = '$headers["x-delivery"]'
drop = ".rawJson.count < 0"
"""

SIGNATURE = """\
[instance.signature]
algorithm = "sha256"
header = "X-Hub-Signature-256"
format = "sha256={sig}"
encoding = "hex"
signed = "{body}"
"""


def _github(length, name):
    """A delivery in GitHub's form of so many bytes, signed; the signature covers the body alone, so it can be sent again under
    another number."""
    event = {
        "action": "opened",
        "issue": {"number": 7, "title": "Sign-in fails", "created_at": "2026-02-11T09:05:00Z"},
        "repository": {"full_name": "example/app"},
        "sender": {"login": "alice"},
        "note": "",
    }
    event["note"] = "x" * (length - len(json.dumps(event)))
    text = json.dumps(event)
    signature = hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).hexdigest()
    headers = {"X-GitHub-Event": "issues", "X-Hub-Signature-256": f"sha256={signature}"}
    return Body(f"{name}, signed", text, headers=headers, varied="X-GitHub-Delivery")


def variants(binary):
    """The same load for all of them, each request with a number of its own, so that none is a duplicate."""
    numbered, small = replace(SMALL, varied=DELIVERY), _github(300, "300 B")
    return [
        gateway(binary, "plain", numbered),
        gateway(binary, "duplication key", numbered, instance=f'duplication_key = ["headers.{DELIVERY.lower()}"]\n'),
        gateway(binary, "samples kept", numbered, instance="store_samples = true\n"),
        gateway(binary, "signature", small, instance=f'secrets = ["{SECRET}"]\n{SIGNATURE}'),
        gateway(binary, "jq mapping, 5 fields", numbered, instance=MAP),
        gateway(binary, "`github`: all of it", small, instance=f'sender = "github"\nsecrets = ["{SECRET}"]\n'),
    ]


def signed(binary):
    """What a signature adds to a password, at the size of a real delivery."""
    body = _github(8 << 10, "8 KiB")
    return [
        gateway(binary, "Basic", body),
        gateway(binary, "Basic and signature", body, instance=f'secrets = ["{SECRET}"]\n{SIGNATURE}'),
        gateway(binary, "`github`: all of it", body, instance=f'sender = "github"\nsecrets = ["{SECRET}"]\n'),
    ]
