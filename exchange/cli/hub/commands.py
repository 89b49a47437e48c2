"""`exchange hub init | serve | invite | applications | members | health`: for the administrator of a hub.

Owns these verbs but `serve`, which hub/server.py has. Making a home and the ceremony of the genesis are hub/home's.
"""

from __future__ import annotations

import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from exchange.cli import alarm
from exchange.cli.call import Call, now_ms
from exchange.cli.command import command
from exchange.cli.hub.lists import applications, hub_store, members
from exchange.cli.hub.server import serve
from exchange.cli.output import pairs, utc
from exchange.errors import CODES, Refused, Unavailable

if TYPE_CHECKING:
    from exchange.hub.home import Draft

HEALTH_SECONDS = 10


def register(group: typer.Typer) -> None:
    """Add the verbs to the group."""
    command(group, "init", role="hub", unlocks=True)(init)
    command(group, "serve", role="hub", unlocks=True)(serve)
    command(group, "invite", role="hub")(invite)
    command(group, "applications", role="hub")(applications)
    command(group, "members", role="hub")(members)
    command(group, "health", role="hub")(health)
    alarm.add_to(group, "hub")


def init(
    call: Call,
    *,
    name: Annotated[str | None, typer.Option(help="Name of the network.")] = None,
    origin: Annotated[
        list[str] | None, typer.Option(help="https://host[:port] that members use; may be repeated.")
    ] = None,
    card: Annotated[list[Path] | None, typer.Option(help="An officer's card; once for each officer.")] = None,
    officers_threshold: Annotated[
        int, typer.Option(help="Officers that must sign to admit a member.", min=1)
    ] = 2,
    sponsors_threshold: Annotated[
        int, typer.Option(help="Sponsors of other countries that must.", min=1)
    ] = 2,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=0, max=65535)] = 8443,
    public_certificate: Annotated[
        bool,
        typer.Option("--public-certificate", help="TLS by a public authority, not by one of this hub's own."),
    ] = False,
    genesis: Annotated[
        list[Path] | None, typer.Option(help="Bring back a genesis file that officers have signed.")
    ] = None,
    replace: Annotated[
        Path | None, typer.Option(help="Take the place of a lost hub: go on from this snapshot of a member.")
    ] = None,
    change: Annotated[
        list[Path] | None, typer.Option(help="Bring back a change of hub that officers have signed.")
    ] = None,
    recovery_seed: Annotated[
        Path | None, typer.Option(help="With --replace: the printed seed signs, not officers; - to type it.")
    ] = None,
) -> None:
    """Make this hub's home and the draft of its network; with --genesis, bring the officers' signatures back.

    With --replace it takes the place of a hub that is lost; --change brings back the officers' signatures for that.
    """
    import os

    from exchange.cli.hub import takeover as hub_takeover
    from exchange.cli.officer.home import read_card, read_genesis
    from exchange.hub import home as hub_home
    from exchange.settings import HubSettings

    if genesis:
        drafts = [hub_home.add_signatures(call.home, read_genesis(path)) for path in genesis]
        if not drafts[-1].missing:
            hub_home.begin(call.home, now=now_ms())
        _drafted(call, drafts[-1])
        return
    origins = origin or [f"https://{host}:{port}"]
    if change:
        hub_takeover.bring_back(call, change)
        return
    if replace:
        settings = HubSettings.from_mapping({"origins": origins, "host": host, "port": port})
        hub_takeover.replace(
            call,
            replace,
            settings,
            public_certificate=public_certificate,
            recovery_seed=recovery_seed,
        )
        return
    if not card:
        raise Refused("cli.usage", "--card FILE is missing: officers make one with `exchange officer init`")
    draft = hub_home.init_home(
        call.home,
        name=call.ask("Name of the network", name, "--name"),
        origins=origins,
        officers=[read_card(path) for path in card],
        officers_threshold=officers_threshold,
        sponsors_threshold=sponsors_threshold,
        unlock=call.unlock(new=not (call.home / hub_home.KEYSTORE).exists()),
        now=now_ms(),
        random=os.urandom,
        host=host,
        port=port,
        public_certificate=public_certificate,
    )
    call.remember()
    _drafted(call, draft)


def invite(
    call: Call,
    *,
    member: Annotated[str, typer.Argument(help="Handle the newcomer will have.")],
    member_class: Annotated[
        str, typer.Option("--class", help="national_csirt, police, military ...")
    ] = "national_csirt",
    country: Annotated[
        str, typer.Option(help="Country, two letters; empty for an organisation without one.")
    ] = "",
    days: Annotated[int, typer.Option(help="How long it is good for.", min=1, max=90)] = 7,
    recover: Annotated[
        bool,
        typer.Option("--recover", help="For a member that lost its keys: its new home reads the log by it."),
    ] = False,
    output: Annotated[Path | None, typer.Option(help="File to put it into; else standard output.")] = None,
) -> None:
    """Make a one-time invitation. It is a secret: whoever has it can apply under this handle."""
    import os

    from exchange.hub.applications import create_invitation
    from exchange.hub.home import load_settings
    from exchange.storage.files import write_private

    settings = load_settings(call.home)
    with hub_store(call) as store:
        invitation = create_invitation(
            store,
            member=member,
            member_class=member_class,
            country=country,
            origin=settings.origins[0],
            valid_days=days,
            now=now_ms(),
            random=os.urandom,
            again=recover,
        )
    value: dict[str, Any] = {
        "member": member,
        "class": invitation.member_class,
        "country": invitation.country,
        "expires": invitation.expires,
    }
    join = "exchange node join --recover FILE" if recover else "exchange node join FILE"
    next_step = f"hand it to {member}, safely: {join}; good until {utc(invitation.expires)}"
    if output is None:
        call.out.result(
            {**value, "invitation": invitation.to_line()}, [invitation.to_line()], next_step=next_step
        )
    else:
        write_private(output, invitation.to_line().encode("ascii") + b"\n")
        call.out.result({**value, "file": str(output)}, [f"wrote {output}"], next_step=next_step)


def health(call: Call) -> None:
    """Ask the running hub whether it can take mail, over the address its members use."""
    from exchange.hub.home import load_settings
    from exchange.storage.files import check_home_modes
    from exchange.tls import CA_FILE

    settings = load_settings(call.home)
    origin, keep = settings.origins[0], settings.limits
    own = call.home / CA_FILE
    value = readyz(origin, own if own.exists() else None)
    loose = [str(path) for path in check_home_modes(call.home) if path.suffix != ".sock"]
    facts = [
        ("hub", origin),
        ("takes mail", "yes"),
        (
            "forgets",
            f"{keep.released_days} days after the last receipt, at latest {keep.expired_days} after expiry",
        ),
        ("directory log", "read-only until members were heard" if value.get("log_read_only") else "open"),
        ("others may touch", ", ".join(loose)),
    ]
    result = {
        "origin": origin,
        "takes_mail": True,
        "log_read_only": bool(value.get("log_read_only")),
        "released_days": keep.released_days,
        "expired_days": keep.expired_days,
        "loose_modes": loose,
    }
    next_step = f"chmod go= {loose[0]}" if loose else ""
    call.out.result(result, pairs(facts), next_step=next_step)


def readyz(origin: str, ca: Path | None) -> dict[str, Any]:
    """What /readyz says. Raises Unavailable with the hub's code, or hub.unreachable, hub.certificate."""
    try:
        context = ssl.create_default_context(cafile=str(ca) if ca else None)
        with urllib.request.urlopen(f"{origin}/readyz", timeout=HEALTH_SECONDS, context=context) as answer:  # noqa: S310 - an https origin, checked in the settings
            value: dict[str, Any] = orjson.loads(answer.read(65_536))
            return value
    except urllib.error.HTTPError as problem:
        code = _code(problem.read(65_536))
        raise Unavailable(code) from problem
    except (OSError, ValueError) as error:
        wrong = isinstance(getattr(error, "reason", None), ssl.SSLCertVerificationError)
        raise Unavailable("hub.certificate" if wrong else "hub.unreachable") from error


def _code(problem: bytes) -> str:
    try:
        code = orjson.loads(problem).get("code")
    except (ValueError, AttributeError):
        code = None
    return code if code in CODES else "hub.unreachable"


def _drafted(call: Call, draft: Draft) -> None:
    from exchange.cli.seeds import on_paper
    from exchange.hub.home import GENESIS

    path = call.home / GENESIS
    value: dict[str, Any] = {
        "home": str(call.home),
        "genesis": str(path),
        "network_digits": draft.digits,
        "missing": list(draft.missing),
    }
    lines = [f"the hub's home is {call.home}", f"network digits: {draft.digits}"]
    if draft.recovery_seed:
        value["recovery_seed"] = on_paper(draft.recovery_seed)
        lines += [
            "",
            "Write this on paper now and lock it away; it is shown once and kept nowhere:",
            f"  to recover the network:  {value['recovery_seed']}",
            "",
        ]
    next_step = "exchange hub serve"
    if draft.missing:
        who = ", ".join(draft.missing)
        next_step = f"hand {path} round to be signed by {who}: exchange officer approve --genesis FILE"
    call.out.result(value, lines, next_step=next_step)
