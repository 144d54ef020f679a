"""What a server costs: CPU time and memory of a process and all that it started."""

import os
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def _parents():
    """Process to parent, of all that run now."""
    parents = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            fields = _stat(int(entry.name))
            if fields:
                parents[int(entry.name)] = int(fields[1])
    return parents


def _stat(pid):
    """The fields of /proc/PID/stat from the third (the state) on; none if the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


def family(pid):
    """The process and its descendants."""
    parents = _parents()
    members = {pid}
    while True:
        more = {child for child, parent in parents.items() if parent in members} - members
        if not more:
            return members
        members |= more


def cpu_seconds(pid):
    """User and system time of the family, with that of children which have ended and were waited for."""
    ticks = 0
    for member in family(pid):
        fields = _stat(member)
        if fields:
            # proc_pid_stat(5): utime, stime, cutime, cstime
            ticks += sum(int(field) for field in fields[11:15])
    return ticks / TICKS


def rss_kib(pid):
    """Resident memory of the family; pages that several of them share count for each."""
    total = 0
    for member in family(pid):
        try:
            lines = Path(f"/proc/{member}/status").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
    return total
