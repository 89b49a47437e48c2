"""What a message says that takes an earlier one back, in the language of that one."""

from __future__ import annotations

from typing import Final

from exchange.phrases.languages import Phrases, language_of, say, table

_RETRACTION: Final[Phrases] = table(
    """
    subject | Retracted: {subject} | Retirado: {subject} | Retirado: {subject} | Retiré : {subject}
    text | This takes back the message {id} of {at}. Please don't go by it any more, and remove what your tools made of it. | Este mensaje retira el mensaje {id} del {at}. Por favor, no lo tengan más en cuenta y eliminen lo que sus herramientas hicieron de él. | Esta mensagem retira a mensagem {id} de {at}. Por favor, não a levem mais em conta e removam o que suas ferramentas fizeram dela. | Ce message retire le message {id} du {at}. Veuillez ne plus en tenir compte et supprimer ce que vos outils en ont fait.
    """  # noqa: E501 - a row of a table is one line
)


def retraction(lang: str, *, subject: str, message_id: str, at: str, most: int) -> tuple[str, str]:
    """Subject, of at most `most` characters, and text of what takes back the message of that id, written `at`.

    `lang`: of that message (RFC 5646); in one that isn't ours it is said in English.
    """
    language = language_of(lang)
    line = say(_RETRACTION, "subject", language, subject=subject)
    cut = line if len(line) <= most else line[: most - 1] + "\u2026"
    return cut, say(_RETRACTION, "text", language, id=message_id, at=at)
