"""What all commands of the benchmark can be told."""

import argparse
from pathlib import Path

from .tools import target_folder


def parser(description, writes):
    options = argparse.ArgumentParser(description=description)
    options.add_argument("--quick", action="store_true", help="small and short: a look, not figures to quote")
    options.add_argument("--hookgate", type=Path, metavar="BINARY", help="a release build to measure, instead of building one")
    options.add_argument("--dir", type=Path, help="where the stores go, on the disk to be measured; default target/")
    if writes:
        options.add_argument("--no-write", dest="write", action="store_false", help="print only; so does --quick")
    return options


def numbers(text):
    return [int(number) for number in text.split(",")]


def settle(options):
    """Fills in what follows from the rest."""
    options.dir = (options.dir or target_folder()).absolute()
    options.dir.mkdir(parents=True, exist_ok=True)
    options.write = getattr(options, "write", False) and not options.quick
    return options
