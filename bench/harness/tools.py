"""What must be there before anything can be measured, and what is to be known of the machine."""

import functools
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path

BENCH = Path(__file__).resolve().parent.parent
TOP = BENCH.parent
PACKAGES = {"wrk": "wrk", "h2load": "nghttp2-client", "cc": "build-essential", "valgrind": "valgrind"}


class Failure(Exception):
    """Ends the run with its text and exit code 1."""


def run_main(main):
    """Calls `main`; what goes wrong as foreseen is told in a line, not in a traceback."""
    name = Path(sys.argv[0]).name
    try:
        main()
    except Failure as failure:
        sys.exit(f"bench/{name}: {failure}")
    except subprocess.CalledProcessError as failure:
        sys.exit(f"bench/{name}: {failure}\n{failure.stderr or ''}")


def say(text):
    """Progress; the tables alone go to standard output."""
    print(text, file=sys.stderr, flush=True)


def need(command):
    """Installs the Debian package of a missing command where that can be done, as root."""
    if shutil.which(command):
        return
    package = PACKAGES[command]
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise Failure(f"{command} is not installed; on Debian or Ubuntu: sudo apt-get install {package}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for words in (["update", "-q"], ["install", "-y", "-q", "--no-install-recommends", package]):
        subprocess.run(["apt-get", *words], check=True, env=environment, stdin=subprocess.DEVNULL, stdout=sys.stderr)


# --- builds -----------------------------------------------------------------------------------------------------------


def locked_versions(lock):
    """Crate name to versions, from a Cargo.lock."""
    versions = {}
    name = None
    for line in lock.read_text().splitlines():
        if line.startswith("name = "):
            name = line.split('"')[1]
        elif line.startswith("version = ") and name:
            versions.setdefault(name, set()).add(line.split('"')[1])
    return versions


def check_versions():
    """A ratio between two different hypers would mean nothing."""
    ours, bare = locked_versions(TOP / "Cargo.lock"), locked_versions(BENCH / "bare" / "Cargo.lock")
    for crate in ("hyper", "hyper-util", "h2", "http", "tokio", "mimalloc", "rustls", "tokio-rustls", "ring"):
        if not bare.get(crate, set()) <= ours.get(crate, set()):
            raise Failure(f"bench/bare/Cargo.lock has {crate} {bare[crate]}, Cargo.lock {ours.get(crate)}: update the former")


def target_folder():
    return Path(os.environ.get("CARGO_TARGET_DIR") or TOP / "target").absolute()


def build_gateway(given=None):
    """The release binary: `given`, where one was built already, or built now."""
    if given:
        return given.absolute()
    cargo = ["cargo", "build", "--release", "--locked", "--bin", "hookgate", "--target-dir", target_folder()]
    subprocess.run(cargo, cwd=TOP, check=True, stdout=sys.stderr)
    return target_folder() / "release" / "hookgate"


def build_own(name):
    """A package of the benchmark itself: bench/NAME."""
    target = target_folder() / "bench"
    cargo = ["cargo", "build", "--release", "--locked", "--target-dir", target]
    subprocess.run(cargo, cwd=BENCH / name, check=True, stdout=sys.stderr)
    return target / "release" / name


def build_shim():
    """The library that makes fsync slow."""
    need("cc")
    shim = target_folder() / "bench" / "slow-fsync.so"
    shim.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cc", "-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-o", shim, BENCH / "slow-fsync.c", "-ldl"], check=True)
    return shim


def certificate(gateway, directory):
    """(certificate, key) for 127.0.0.1, made by the gateway's own command."""
    subprocess.run([gateway, "cert", "--host", "localhost", "127.0.0.1", "--out", directory], check=True, cwd=directory, stdout=subprocess.DEVNULL)
    return directory / "hookgate.crt", directory / "hookgate.key"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


# --- the machine ------------------------------------------------------------------------------------------------------


def fdatasync_us(directory):
    """Median time of a 4 KiB write and fdatasync in the store's folder: what one commit must cost on this disk."""
    times = []
    with tempfile.TemporaryFile(dir=directory) as file:
        for _ in range(200):
            start = time.perf_counter()
            os.write(file.fileno(), b"x" * 4096)
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e6


def now():
    return datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")


@functools.cache
def commit():
    """The commit that is measured, marked where files differ from it; empty outside a repository."""

    def git(*words):
        return subprocess.run(["git", *words], cwd=TOP, capture_output=True, text=True).stdout.strip()

    # Results that were written a moment ago make no other program.
    differs = git("status", "--porcelain", "--", ".", ":!docs/benchmarks.md")
    return git("rev-parse", "--short=10", "HEAD") + ("-changed" if differs else "")


def cpu_model():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def machine(directory):
    """What the figures depend on, for the record."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": cpu_model(),
        "cpus": os.cpu_count(),
        "memory_gib": round(memory / 2**30, 1),
        "kernel": platform.release(),
        "fdatasync_us": fdatasync_us(directory),
        "commit": commit(),
        "when": now(),
    }
