"""The servers that are measured, each a child process on a loopback port with a fresh folder."""

import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass

from . import process
from .tools import BENCH, Failure, free_port

LOGIN = ("bench", "correct-horse-battery-staple")
TOKEN = "bench-admin-token"
START_SECONDS = 20  # for a server to listen, and for one to end

CONFIG = """\
[server]
listen = ["127.0.0.1:{port}"]
{server}
[admin]
listen = "127.0.0.1:{admin_port}"
token = "{token}"

[store]
url = "sqlite:bench.db"
{store}
[[instance]]
name = "bench"
username = "{user}"
password = "{password}"
{instance}"""


@dataclass(frozen=True)
class Run:
    """What a client knows of its requests."""

    #: Answers of 200 that reached it.
    seen: int
    #: At most so many more were under way when it hung up.
    in_flight: int
    #: In each.
    incidents: int


class Server:
    """A child process that listens on a loopback port; ended by SIGTERM when the block is left."""

    name = "server"
    path = "/"
    tls = False
    environment = {}

    def __init__(self, command, directory):
        self.command, self.directory = command, directory

    def __enter__(self):
        self.log = open(self.directory / "server.log", "w+")
        environment = {**os.environ, **self.environment}
        self.process = subprocess.Popen(
            self.command, cwd=self.directory, env=environment, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log
        )
        deadline = time.monotonic() + START_SECONDS
        while not self.listens():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.process.kill()
                self.process.wait()
                raise Failure(f"{self.command[0]} did not start:\n{(self.directory / 'server.log').read_text()}")
            time.sleep(0.005)
        return self

    def __exit__(self, kind, *_):
        self.process.terminate()
        try:
            self.process.wait(START_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            if kind is None:
                raise Failure(f"{self.command[0]} did not end within {START_SECONDS} s of SIGTERM")
        finally:
            self.log.close()

    def listens(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    @property
    def url(self):
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}{self.path}"

    def rss_kib(self):
        return process.rss_kib(self.process.pid)

    def cpu_seconds(self):
        return process.cpu_seconds(self.process.pid)

    def verify(self, _runs):
        """Nothing to verify of a server that stores nothing, or not for us."""


class Bare(Server):
    name = "bare"

    def __init__(self, binary, directory, tls=None):
        self.port = free_port()
        self.tls = tls is not None
        super().__init__([binary, f"127.0.0.1:{self.port}", *(tls or [])], directory)


class Gateway(Server):
    name = "hookgate"
    path = "/instance/execute/bench"

    def __init__(self, binary, directory, tls=None, server="", store="", instance="", environment=None):
        """`server`, `store` and `instance`: more lines of those tables."""
        self.port, self.admin_port = free_port(), free_port()
        self.tls = tls is not None
        self.environment = environment or {}
        self.config = directory / "hookgate.toml"
        if tls:
            server = f'certificate = "{tls[0]}"\nprivate_key = "{tls[1]}"\n{server}'
        self.config.write_text(
            CONFIG.format(
                port=self.port, admin_port=self.admin_port, token=TOKEN, user=LOGIN[0], password=LOGIN[1], server=server, store=store, instance=instance
            )
        )
        self.config.chmod(0o600)
        super().__init__([binary, "serve", "--config", self.config], directory)

    def refusal(self):
        """The first thing that `hookgate check` has against the configuration; none if nothing."""
        checked = subprocess.run([self.command[0], "check", "--config", self.config], cwd=self.directory, capture_output=True, text=True)
        if checked.returncode == 0:
            return None
        lines = (checked.stderr.strip() or checked.stdout.strip() or "check failed").splitlines()
        # The file is gone by the time somebody reads this.
        return lines[0].removeprefix(f"{self.config}:").partition(":")[2].strip() or lines[0]

    def admin(self, path):
        """The body of an answer of the admin API."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.admin_port}{path}", headers={"Authorization": f"Bearer {TOKEN}"})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            raise Failure(f"{path}: {error.code} {error.read().decode()}") from error

    def counted(self):
        """(answers of 200, incidents stored), once what was in flight when the client hung up is through."""
        before = None
        while True:
            lines = self.admin("/metrics").decode().splitlines()
            answered = [line for line in lines if line.startswith("hookgate_requests_total{") and 'status="200"' in line]
            stored = [line for line in lines if line.startswith("hookgate_incidents_total{")]
            now = [sum(int(line.rsplit(" ", 1)[1]) for line in group) for group in (answered, stored)]
            if now == before:
                return now
            before = now
            time.sleep(0.2)

    def expired(self):
        """How many incidents the retention has deleted."""
        lines = self.admin("/metrics").decode().splitlines()
        return sum(int(line.rsplit(" ", 1)[1]) for line in lines if line.startswith("hookgate_expired_incidents_total"))

    def verify(self, runs):
        """Nothing that was acknowledged is missing in a store that was empty before."""
        self.rows(self.stored(runs))

    def stored(self, runs):
        """How many incidents were stored since the start, if that agrees with what the client saw."""
        answered, stored = self.counted()
        least = sum(run.seen * run.incidents for run in runs)
        most = sum((run.seen + run.in_flight) * run.incidents for run in runs)
        if not least <= stored <= most:
            raise Failure(f"the client saw answers of 200 for {least} incidents, the gateway stored {stored}")
        if answered * min(run.incidents for run in runs) > stored:
            raise Failure(f"the gateway answered {answered} times 200 and stored {stored} incidents")
        return stored

    def rows(self, expected):
        """Counts what the store itself holds, by the command a user would take."""
        most = expected - self.expired()
        export = subprocess.Popen([self.command[0], "incidents", "export"], cwd=self.directory, stdout=subprocess.PIPE)
        found = sum(chunk.count(b"\n") for chunk in iter(lambda: export.stdout.read(1 << 20), b""))
        least = expected - self.expired()
        if export.wait() != 0 or not least <= found <= most:
            raise Failure(f"the gateway counted {expected} incidents and deleted {expected - most} to {expected - least}, its store holds {found}")


class Peer(Server):
    """One of bench/peers; its README says what `install` and `serve` are told."""

    def __init__(self, folder, directory, tls=None, path=Gateway.path, workers=1, stores=False, environment=None):
        self.port = free_port()
        self.path = path
        self.tls = tls is not None
        self.environment = {
            "PORT": str(self.port),
            "BENCH_USER": LOGIN[0],
            "BENCH_PASSWORD": LOGIN[1],
            "WORKERS": str(workers),
            "STORE": str(directory / "peer.db") if stores else "",
            "CERTIFICATE": str(tls[0]) if tls else "",
            "KEY": str(tls[1]) if tls else "",
            **(environment or {}),
        }
        super().__init__([BENCH / "peers" / folder / "serve"], directory)

    @staticmethod
    def install(folder):
        """Why the peer cannot be had; none if it can."""
        done = subprocess.run([BENCH / "peers" / folder / "install"], capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode == 0:
            return None
        lines = (done.stderr.strip() or done.stdout.strip() or "install failed").splitlines()
        return lines[-1]
