"""The services of a node that its loop drives (sync.py), in one value: what each does stands in its own file."""

from __future__ import annotations

from dataclasses import dataclass

from exchange.node.attachments.traffic import Attachments
from exchange.node.directory.introduction import Introduction
from exchange.node.directory.notices import Notices
from exchange.node.directory.parts import Parts
from exchange.node.directory.registration import Registration
from exchange.node.directory.replica import Replica
from exchange.node.directory.secretariat import Secretariat
from exchange.node.directory.succession import Succession
from exchange.node.identity import Sources
from exchange.node.keys.own_keys import OwnKeys
from exchange.node.keys.prekeys import Prekeys
from exchange.node.mail.control_messages import ControlMessages
from exchange.node.mail.inbox import Inbox
from exchange.node.mail.large import LargeDeliveries
from exchange.node.mail.outbox import Outbox
from exchange.node.mail.questions import Questions
from exchange.node.mail.receipts import Receipts
from exchange.node.mail.uploads import Uploads
from exchange.node.restore import Restore
from exchange.node.retention import Retention
from exchange.node.store.store import Store


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
