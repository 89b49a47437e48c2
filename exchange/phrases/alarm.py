"""What the alarm hook tells a person, in a title and a sentence: that something waits, never what or from whom.

Owns the words. Which facts may stand in them is alarm.py's.
"""

from __future__ import annotations

from typing import Final

from exchange.phrases.languages import Phrases, table

TITLES: Final[Phrases] = table(
    """
    flash | {who}: flash unacknowledged | {who}: flash sin acuse | {who}: flash sem confirmação | {who} : flash sans réponse
    alarm | {who}: alarm | {who}: alarma | {who}: alarme | {who} : alarme
    not-stored | {who}: flash not fetched | {who}: flash sin recoger | {who}: flash por buscar | {who} : flash non relevé
    not-stored-over | {who}: flash waits no more | {who}: ya no espera flash | {who}: nenhum flash espera mais | {who} : plus de flash en attente
    test | {who}: test of the alarm hook | {who}: prueba del aviso | {who}: teste do aviso | {who} : essai de l'alerte
    """  # noqa: E501 - a row of a table is one line
)
TEXTS: Final[Phrases] = table(
    """
    flash | Flash messages that nobody at {who} has acknowledged: {count}. The oldest has waited for {minutes} min. | Mensajes flash que nadie en {who} ha confirmado: {count}. El más antiguo espera desde hace {minutes} min. | Mensagens flash que ninguém em {who} confirmou: {count}. A mais antiga espera há {minutes} min. | Messages flash que personne chez {who} n'a confirmés : {count}. Le plus ancien attend depuis {minutes} min.
    alarm | New alarms at {who}: {count}. Look at: exchange node status | Alarmas nuevas en {who}: {count}. Vea: exchange node status | Alarmes novos em {who}: {count}. Veja: exchange node status | Nouvelles alarmes chez {who} : {count}. Voyez : exchange node status
    not-stored | Flash mail waits at {who} for the nodes of {count} members: {members}. The oldest has waited for {minutes} min. Telephone them. | Correo flash espera en {who} a los nodos de {count} miembros: {members}. El más antiguo espera desde hace {minutes} min. Llámelos. | Correio flash espera em {who} pelos nós de {count} membros: {members}. O mais antigo espera há {minutes} min. Telefone. | Du courrier flash attend chez {who} les nœuds de {count} membres : {members}. Le plus ancien attend depuis {minutes} min. Téléphonez-leur.
    not-stored-over | No flash mail waits any more at {who} for: {members}. | En {who} ya no espera correo flash para: {members}. | Em {who} nenhum correio flash espera mais por: {members}. | Plus aucun courrier flash n'attend chez {who} pour : {members}.
    test | This is a test of the alarm hook at {who}. Nothing has happened. | Esto es una prueba del aviso en {who}. No ha pasado nada. | Isto é um teste do aviso em {who}. Nada aconteceu. | Ceci est un essai de l'alerte chez {who}. Rien ne s'est passé.
    """  # noqa: E501 - a row of a table is one line
)
