"""What a copy of a message says of the files that stay behind: on paper, in a mail, in the message that hands it on."""

from __future__ import annotations

from typing import Final

from exchange.phrases.languages import Phrases, table

ATTACHMENTS: Final[Phrases] = table(
    """
    copied | Attachments that are not in this copy: {count}. Ask {who} for them. | Adjuntos que no están en esta copia: {count}. Pídalos a {who}. | Anexos que não estão nesta cópia: {count}. Peça-os a {who}. | Pièces jointes absentes de cette copie : {count}. Demandez-les à {who}.
    handed-on | Attachments of the message handed on that did not come along: {count}. Ask {who} for them. | Adjuntos del mensaje reenviado que no vinieron con él: {count}. Pídalos a {who}. | Anexos da mensagem reencaminhada que não vieram com ela: {count}. Peça-os a {who}. | Pièces jointes du message transmis qui ne l'accompagnent pas : {count}. Demandez-les à {who}.
    """  # noqa: E501 - a row of a table is one line
)
