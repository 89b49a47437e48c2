"""The options that look-ups share."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from exchange.errors import Refused

CountryOption = Annotated[str | None, typer.Option(help="Two letters, such as PE.")]
TopicOption = Annotated[str | None, typer.Option(help="Topic, such as ransomware or firearms.")]
LangOption = Annotated[
    str | None, typer.Option("--lang", help="Language of labels and reasons: en, es, pt or fr; else LANG's.")
]


def country_code(typed: str | None) -> str:
    """In capitals; empty for none. Raises Refused cli.usage."""
    code = (typed or "").upper()
    if typed is not None and not re.fullmatch("[A-Z]{2}", code):
        raise Refused("cli.usage", "--country takes two letters (ISO 3166-1), such as PE")
    return code
