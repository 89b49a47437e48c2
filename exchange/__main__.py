"""Starts the command `exchange`; everything it does is in `cli/`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and exit with its code."""
    from exchange.cli.hub.server import run_plain  # noqa: PLC0415 - so that importing this module costs nothing

    arguments = sys.argv[1:]
    code = run_plain(arguments)
    if code is None:
        from exchange.cli.app import run  # noqa: PLC0415 - same
        from exchange.demo import command  # noqa: PLC0415 - same

        code = run(arguments, [command.register])
    sys.exit(code)


if __name__ == "__main__":
    main()
