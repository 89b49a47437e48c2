"""Makes the vectors of tests/vectors: what is deterministic anew each time, what is sealed or signed once.

    python -m tests.vectors.generate           write what is missing or deterministic, remove what has no maker any more
    python -m tests.vectors.generate --check   write nothing; exit 1 if a committed file isn't what it should be
    python -m tests.vectors.generate --new     make everything anew, also what is sealed and signed

ML-DSA and HPKE take no seed, so vectors with a signature or a seal can't be made twice alike. Mutations of a committed
vector can, and so can everything that is only hashed. Owns the list of areas; the makers own their contents.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

from tests.vectors.makers.blob_cases import blob_cases
from tests.vectors.makers.case import FOLDER, Case, written
from tests.vectors.makers.contact_cases import contact_cases
from tests.vectors.makers.decision_cases import decision_cases
from tests.vectors.makers.genesis_cases import genesis_cases, statement_cases
from tests.vectors.makers.hashes import hashes_json
from tests.vectors.makers.header_flaws import header_cases
from tests.vectors.makers.hub_cases import hub_cases
from tests.vectors.makers.inner_cases import inner_cases
from tests.vectors.makers.json_cases import base64_cases, json_cases
from tests.vectors.makers.leaf_cases import leaf_cases
from tests.vectors.makers.life_cases import life_cases
from tests.vectors.makers.link_cases import link_cases
from tests.vectors.makers.log_cases import (
    base_cases,
    checkpoint_cases,
    comparison_cases,
    record_cases,
    submission_cases,
)
from tests.vectors.makers.network import network_json
from tests.vectors.makers.open_cases import open_cases
from tests.vectors.makers.plain_cases import body_cases, content_cases, frame_cases
from tests.vectors.makers.receipt_cases import proof_cases, upload_cases
from tests.vectors.makers.snapshot_cases import snapshot_cases
from tests.vectors.makers.token_cases import invitation_cases, token_cases

# the log and its checkpoint first: everything else names them
AREAS = (
    base_cases,
    json_cases,
    base64_cases,
    header_cases,
    body_cases,
    content_cases,
    blob_cases,
    frame_cases,
    link_cases,
    token_cases,
    invitation_cases,
    checkpoint_cases,
    comparison_cases,
    submission_cases,
    record_cases,
    statement_cases,
    genesis_cases,
    leaf_cases,
    life_cases,
    contact_cases,
    decision_cases,
    snapshot_cases,
    upload_cases,
    proof_cases,
    open_cases,
    inner_cases,
    hub_cases,
)
TABLES = {"network.json": network_json, "hashes.json": hashes_json}


def cases() -> Iterator[Case]:
    """Every vector there should be, in an order in which each finds what it is made from."""
    for area in AREAS:
        yield from area()


def stray(wanted: list[Case]) -> list[str]:
    """Vectors on disk that nothing makes."""
    known = {case.path for case in wanted}
    return sorted(str(path.relative_to(FOLDER)) for path in FOLDER.glob("*/*.json") if path not in known)


def faults() -> list[str]:
    """What the committed files have that they shouldn't, as sentences."""
    wanted = list(cases())
    found = [f"{name}: nothing makes it" for name in stray(wanted)]
    names = [case.path for case in wanted]
    found += [f"{path}: made twice" for path in sorted({path for path in names if names.count(path) > 1})]
    for case in wanted:
        name = f"{case.area}/{case.name}"
        if not case.path.exists():
            found.append(f"{name}: missing")
            continue
        text = case.path.read_text(encoding="ascii")
        if case.fixed and text != case.text():
            found.append(f"{name}: not what its maker makes")
        frame = {key: value for key, value in json.loads(text).items() if key not in ("input", "output")}
        if frame != case.frame():
            found.append(f"{name}: says {frame}, its maker {case.frame()}")
    for table, make in TABLES.items():
        if not (FOLDER / table).exists() or (FOLDER / table).read_text(encoding="ascii") != written(make()):
            found.append(f"{table}: not what its maker makes")
    return found


def write(*, anew: bool) -> int:
    """Writes what is missing, deterministic or, with `anew`, everything. Gives the number of files written."""
    count = 0
    wanted = []
    for case in cases():
        wanted.append(case)
        if case.fixed or anew or not case.path.exists():
            case.path.parent.mkdir(exist_ok=True)
            text = case.text()
            if not case.path.exists() or case.path.read_text(encoding="ascii") != text:
                case.path.write_text(text, encoding="ascii")
                count += 1
    for table, make in TABLES.items():
        (FOLDER / table).write_text(written(make()), encoding="ascii")
    for name in stray(wanted):
        (FOLDER / name).unlink()
    return count


def main(arguments: list[str]) -> int:
    if arguments == ["--check"]:
        found = faults()
        sys.stderr.write("".join(f"{fault}\n" for fault in found))
        return 1 if found else 0
    if arguments not in ([], ["--new"]):
        sys.stderr.write(__doc__ or "")
        return 2
    sys.stdout.write(f"{write(anew=bool(arguments))} files written\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
