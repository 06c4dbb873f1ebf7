"""`python -m orders.paper`: the paper Kite server without Django."""

from __future__ import annotations

import argparse
import sys

from orders.paper.options import Options, add_arguments
from orders.paper.program import CannotStart, run


def announce(line: str) -> None:
    """Tell whoever started this process, at once, even through a pipe."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m orders.paper", description="Run the paper Kite server.")
    add_arguments(parser)
    try:
        run(Options.from_namespace(parser.parse_args()), announce)
    except CannotStart as reason:
        sys.exit(str(reason))


if __name__ == "__main__":
    main()
