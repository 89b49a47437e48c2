"""The services of a node that its loop drives (sync.py), in one value: what each does stands in its own file."""

from __future__ import annotations

from dataclasses import dataclass

from exchange.node.attachments import Attachments
from exchange.node.control_messages import ControlMessages
from exchange.node.directory_sync import Replica
from exchange.node.identity import Sources
from exchange.node.inbox import Inbox
from exchange.node.introduction import Introduction
from exchange.node.large import LargeDeliveries
from exchange.node.notices import Notices
from exchange.node.outbox import Outbox
from exchange.node.own_keys import OwnKeys
from exchange.node.parts import Parts
from exchange.node.prekeys import Prekeys
from exchange.node.questions import Questions
from exchange.node.receipts import Receipts
from exchange.node.registration import Registration
from exchange.node.restore import Restore
from exchange.node.retention import Retention
from exchange.node.secretariat import Secretariat
from exchange.node.store import Store
from exchange.node.succession import Succession
from exchange.node.uploads import Uploads


@dataclass(frozen=True)
class Services:
    """The services that the loop drives."""

    store: Store
    replica: Replica
    beside: Parts
    notices: Notices
    registration: Registration
    introduction: Introduction
    own_keys: OwnKeys
    succession: Succession
    prekeys: Prekeys
    outbox: Outbox
    uploads: Uploads
    attachments: Attachments
    inbox: Inbox
    controls: ControlMessages
    large: LargeDeliveries
    receipts: Receipts
    questions: Questions
    restore: Restore
    retention: Retention
    secretariat: Secretariat
    sources: Sources
