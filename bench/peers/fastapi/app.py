"""What the "Generic Webhook" integration of Cortex XSOAR does with a request, and optionally a durable insert of its result.

Parse and validate, compare Basic credentials in constant time, put the request's headers into the event, build incidents of it.
"""

import json
import os
import secrets
import sqlite3
from datetime import datetime, timezone
from uuid import uuid4

from fastapi import Depends, FastAPI, Request, Response
from fastapi.security import HTTPBasic, HTTPBasicCredentials
from pydantic import BaseModel, ConfigDict

USER, PASSWORD = os.environ["BENCH_USER"].encode(), os.environ["BENCH_PASSWORD"].encode()

app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
basic = HTTPBasic(auto_error=False)


class Incident(BaseModel):
    model_config = ConfigDict(extra="allow")

    name: str | None = None
    type: str | None = None
    occurred: str | None = None
    rawJson: dict | None = None


def open_store(path):
    """One connection a process: the loop is its only user. Other processes wait for each other's commits."""
    db = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    db.execute(
        "CREATE TABLE IF NOT EXISTS incident (seq INTEGER PRIMARY KEY, id TEXT, instance TEXT, name TEXT, type TEXT, occurred TEXT, created TEXT, raw TEXT)"
    )
    return db


store = open_store(os.environ["STORE"]) if os.environ.get("STORE") else None


def insert(incidents):
    rows = [(i["id"], i["instance"], i["name"], i["type"], i["occurred"], i["created"], i["rawJSON"]) for i in incidents]
    store.execute("BEGIN IMMEDIATE")
    try:
        store.executemany("INSERT INTO incident (id, instance, name, type, occurred, created, raw) VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    except BaseException:
        store.execute("ROLLBACK")
        raise
    store.execute("COMMIT")


def incident_of(event, sent, headers, now):
    raw = event.rawJson or sent
    raw["headers"] = headers
    return {
        "id": str(uuid4()),
        "instance": "bench",
        "name": event.name or "Generic webhook triggered incident",
        "type": event.type,
        "occurred": event.occurred or now,
        "created": now,
        "rawJSON": json.dumps(raw),
    }


@app.post("/instance/execute/bench")
async def receive(events: Incident | list[Incident], request: Request, credentials: HTTPBasicCredentials | None = Depends(basic)):
    # Both are compared, whatever the first comparison says.
    right = credentials is not None and all(
        [secrets.compare_digest(credentials.username.encode(), USER), secrets.compare_digest(credentials.password.encode(), PASSWORD)]
    )
    if not right:
        return Response("Authorization failed.", status_code=401)
    headers = {name: value for name, value in request.headers.items() if name != "authorization"}
    now = datetime.now(timezone.utc).isoformat()
    sent = await request.json()
    if isinstance(events, Incident):
        events, sent = [events], [sent]
    incidents = [incident_of(event, raw, headers, now) for event, raw in zip(events, sent)]
    if store is not None:
        insert(incidents)
    answer = [{key: incident[key] for key in ("id", "name", "type", "occurred", "created", "instance")} for incident in incidents]
    return Response(json.dumps(answer), media_type="application/json")
