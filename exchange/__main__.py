"""Starts the command `exchange`; everything it does is in `cli/`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and exit with its code."""
    from exchange import demo  # noqa: PLC0415 - so that importing this module costs nothing
    from exchange.cli.app import run  # noqa: PLC0415 - same

    sys.exit(run(sys.argv[1:], [demo.register]))


if __name__ == "__main__":
    main()
