"""One target of `./run fuzz` in a process of its own: atheris leads the inputs by the coverage of `exchange`.

Half of the inputs are libFuzzer's mutations, half those that know JSON and base64 (tests/fuzz/mutation.py).
"""

from __future__ import annotations

import random
import sys

import atheris

with atheris.instrument_imports(include=["exchange"]):
    from tests.fuzz.mutation import fault
    from tests.fuzz.parsers import PARSERS, sown


def main(arguments: list[str]) -> None:
    """`arguments`: our name, the target's, then libFuzzer's own."""
    parser, seeds = PARSERS[arguments[1]], sown(arguments[1])

    def once(data: bytes) -> None:
        parser.understands(data)

    def mutated(data: bytes, most: int, seed: int) -> bytes:
        chance = random.Random(seed)  # noqa: S311 - mutations are no secret
        if chance.random() < 0.5:
            return bytes(atheris.Mutate(data, most))
        return fault(bytes(data), seeds, chance)[:most]

    atheris.Setup([arguments[0], *arguments[2:]], once, custom_mutator=mutated)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv)
