"""What an order to send has of the message that it is to replace, as far as the right of entry may know of that."""

from __future__ import annotations

from dataclasses import replace

from exchange.errors import Refused
from exchange.formats.stix.cover import exercise_within
from exchange.message import Urgency
from exchange.node.http.api_call import Call
from exchange.node.mail.facts import Item
from exchange.node.mail.sending import Order
from exchange.node.replacing import check_exercise
from exchange.node.store import api as store_api


async def replacing(call: Call, order: Order) -> tuple[Order, tuple[str, ...]]:
    """The order, with case and urgency of what it replaces unless it says others; and that one's addressees, whom it
    names to nobody where that one didn't.

    Raises Refused message.unknown for what this node didn't send, or the right may not know of;
    message.other-exercise; why it is withheld, whose case stays untold.
    """
    supersedes = order.fields.get("supersedes")
    if supersedes is None:
        return order, ()
    try:
        item = await call.context.api.view.replaceable(call.access, supersedes)
    except Refused as refusal:
        if refusal.code == "message.unknown" and await _is_repeat(call, order):
            return order, ()  # what it replaced has been erased since: it lies in the outbox all the same
        raise Refused(refusal.code, "this node sent nothing under that id", field="supersedes") from None
    content = item.facts.content
    if content is not None:
        said = order.fields.get("exercise_id") or exercise_within(order.objects)
        check_exercise(content.exercise_id, said)
    order = replace(order, separate=order.separate or item.separate)
    if order.in_reply_to is not None:
        return order, item.to
    urgency = order.urgency or Urgency(item.lane)
    return replace(order, case=order.case or _case(item), urgency=urgency), item.to


async def _is_repeat(call: Call, order: Order) -> bool:
    """Whether something was sent under its id before."""
    id_ = order.id
    if id_ is None:
        return False
    return await call.context.api.view.read(lambda c: store_api.ordered(c, id_)) is not None


def _case(item: Item) -> str | None:
    """Raises Refused with what withholds it."""
    if not item.decision.allowed:
        code, ask = item.decision.code, item.decision.ask
        raise Refused(
            code, f"{item.decision.reason}; name the case, or ask {ask}", field="supersedes", ask=ask
        )
    return item.facts.case or None
