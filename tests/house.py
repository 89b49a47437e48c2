"""The register of the house: every module in its layer, and which libraries each layer may see.

A new file gets its line here; test_layers.py enforces it.
"""

from __future__ import annotations

# Earlier layers first; within a layer, a module may import what stands above it. `*` also matches dots.
LAYERS: dict[str, str] = {
    "core": """
        exchange.codes_network
        exchange.codes_node
        exchange.errors
        exchange.limits
        exchange.pacing
        exchange.tlp
        exchange.pap
        exchange.canonical
        exchange.merkle
        exchange.keys
        exchange.link
        exchange.body
        exchange.blob
        exchange.attachment
        exchange.header
        exchange.wire
        exchange.disclosure
        exchange.content
        exchange.message
        exchange.envelope
        exchange.receipt
        exchange.token
        exchange.invitation
        exchange.directory.members
        exchange.directory.prekeys
        exchange.directory.statements
        exchange.directory.contacts
        exchange.directory.vocabulary
        exchange.directory.assets
        exchange.directory.records
        exchange.directory.hours
        exchange.directory.record_rules
        exchange.directory.bodies_base
        exchange.directory.bodies_members
        exchange.directory.bodies_network
        exchange.directory.bodies_contacts
        exchange.directory.bodies
        exchange.directory.onboarding
        exchange.directory.checkpoint
        exchange.directory.log
        exchange.directory.network
        exchange.directory.due
        exchange.directory.rule
        exchange.directory.rules_members
        exchange.directory.rules_network
        exchange.directory.rules_contacts
        exchange.directory.rules
        exchange.directory.lookups
        exchange.directory.state
        exchange.directory.reminders
        exchange.directory.entitlement
        exchange.directory.succession
        exchange.directory.overlay
        exchange.directory.addressing
        exchange.directory.book
        exchange.directory.find
        exchange.directory.owners
        exchange.directory.search
        exchange.directory.snapshot
        exchange.directory.submission
        exchange.directory.waiting
        exchange.directory.cosigning
        exchange.phrases.languages
        exchange.phrases*
        exchange.policy
        exchange.release
        exchange.protocol
        exchange.retention
        exchange.setting_files
        exchange.alarm
        exchange.access
        exchange.door_settings
        exchange.feed_settings
        exchange.settings
    """,
    "formats": """
        exchange.formats.stix.vocabulary
        exchange.formats.objects
        exchange.formats.stix.spans
        exchange.formats.source
        exchange.formats.stix.time
        exchange.formats.stix.markings
        exchange.formats.stix.flat_schemas
        exchange.formats.stix.permissions
        exchange.formats.stix.validation
        exchange.formats.stix.patterns
        exchange.formats.indicators.suffixes
        exchange.formats.stix.read
        exchange.formats.making
        exchange.formats.stix.incident
        exchange.formats.stix.cover
        exchange.formats.stix.handing_on
        exchange.formats.text
        exchange.formats.members
        exchange.formats.indicators.defang
        exchange.formats.indicators.refang
        exchange.formats.said
        exchange.formats.mentions
        exchange.formats.extract
        exchange.formats.indicators.indicator
        exchange.formats.spreadsheet
        exchange.formats.indicators.columns
        exchange.formats.indicators.table
        exchange.formats.indicators.sheet
        exchange.formats.indicators.paste
        exchange.formats.shadowserver
        exchange.formats.misp.types
        exchange.formats.misp.stix
        exchange.formats.misp.labels
        exchange.formats.misp.made
        exchange.formats.misp.back
        exchange.formats.misp.sightings
        exchange.formats.misp.galaxies
        exchange.formats.misp.attribute
        exchange.formats.misp.object
        exchange.formats.misp.read
        exchange.formats.misp.remembered
        exchange.formats.misp.unsaid
        exchange.formats.misp.write
        exchange.formats.csaf.made
        exchange.formats.csaf.products
        exchange.formats.csaf.vulnerabilities
        exchange.formats.csaf.read
        exchange.formats.contacts.table
        exchange.formats.contacts.preview
        exchange.formats.contacts.vcard
        exchange.formats.registry
        exchange.formats.taxii
    """,
    "storage": """
        exchange.storage.files
        exchange.storage.local_cipher
        exchange.storage.unlock
        exchange.storage.keystore
        exchange.storage.connections
        exchange.storage.write_queue
        exchange.storage.commits
        exchange.storage.migrate
        exchange.storage.inspection
        exchange.storage.database
        exchange.storage.backup_copy
        exchange.storage.backup
        exchange.storage.named_files
        exchange.storage.staging
        exchange.storage.calls
        exchange.storage.infected_zip
        exchange.node.store*
        exchange.node.migrations*
        exchange.hub.store*
        exchange.hub.migrations*
    """,
    "services": """
        exchange.node.identity
        exchange.node.budget
        exchange.node.uplink.api
        exchange.node.directory.log_watch
        exchange.node.directory.hub_help
        exchange.node.directory.other_log
        exchange.node.directory.replica
        exchange.node.keys.trust
        exchange.node.keys.peer_prekeys
        exchange.node.keys.prekeys
        exchange.node.mail.outbox
        exchange.node.mail.proofs
        exchange.node.mail.uploads
        exchange.node.together
        exchange.node.attachments.attaching
        exchange.node.attachments.traffic
        exchange.node.mail.answers
        exchange.node.directory.parts
        exchange.node.directory.notices
        exchange.node.directory.exposure
        exchange.node.directory.registration
        exchange.node.keys.own_keys
        exchange.node.directory.succession
        exchange.node.doors.disclosures
        exchange.node.mail.control_messages
        exchange.node.mail.questions
        exchange.node.retention
        exchange.node.mail.receipts
        exchange.node.restore
        exchange.node.mail.opening
        exchange.node.mail.storing
        exchange.node.mail.inbox
        exchange.node.taxii.reading
        exchange.node.feeds.labels
        exchange.node.feeds.outside
        exchange.node.feeds.api
        exchange.node.feeds.feeds
        exchange.node.taxii.adding
        exchange.node.taxii.filling
        exchange.node.taxii.collections
        exchange.node.taxii.posting
        exchange.node.taxii.drafts
        exchange.node.doors.doorkeeper
        exchange.node.mail.large
        exchange.node.mail.whose
        exchange.node.mail.desk
        exchange.node.replacing
        exchange.node.doors.doors
        exchange.node.doors.constituents
        exchange.node.attachments.desk
        exchange.node.directory.checklist
        exchange.node.directory.membership
        exchange.node.directory.introduction
        exchange.node.condition
        exchange.node.mail.writing
        exchange.node.directory.address_book
        exchange.node.mail.facts
        exchange.node.mail.view
        exchange.node.mail.search
        exchange.node.mail.events
        exchange.node.mail.sending
        exchange.node.taxii.posted_mail
        exchange.node.directory.counterparts
        exchange.node.directory.contact_tests
        exchange.node.directory.secretariat
        exchange.node.services
        exchange.node.errands
        exchange.node.sync
        exchange.hub.bells
        exchange.hub.beside
        exchange.hub.log
        exchange.hub.registrar
        exchange.hub.applications
        exchange.hub.pending
        exchange.hub.epochs
        exchange.hub.feed
        exchange.hub.mailboxes
        exchange.hub.pieces
        exchange.hub.blobs
    """,
    "edges": """
        exchange.logs
        exchange.notify
        exchange.alarm_hook
        exchange.chores
        exchange.loop_lag
        exchange.exposition
        exchange.http_guard
        exchange.http_rate
        exchange.tls
        exchange.zones
        exchange.node.home
        exchange.node.units
        exchange.node.backup
        exchange.node.uplink.carrier
        exchange.node.uplink.answers
        exchange.node.uplink.feed
        exchange.node.uplink.pieces
        exchange.node.uplink.blobs
        exchange.node.uplink.client
        exchange.node.feeds.answers
        exchange.node.feeds.threads
        exchange.node.feeds.session
        exchange.node.feeds.taxii
        exchange.node.feeds.misp
        exchange.node.feeds.servers
        exchange.node.control.channel
        exchange.node.node
        exchange.node.control.keys
        exchange.node.control.verbs
        exchange.node.metrics
        exchange.node.http.context
        exchange.node.http.problems
        exchange.node.http.auth
        exchange.node.http.query
        exchange.node.http.taxii
        exchange.node.http.api_models
        exchange.node.http.api_asked
        exchange.node.http.api_call
        exchange.node.http.api_order
        exchange.node.http.api_replacing
        exchange.node.http.api_mail
        exchange.node.http.api_directory
        exchange.node.http.api_events
        exchange.node.http.api_openapi
        exchange.node.http.api
        exchange.node.http.server
        exchange.node.http.door_tls
        exchange.node.http.door
        exchange.node.alarm_hook
        exchange.node.app
        exchange.hub.home
        exchange.hub.takeover
        exchange.hub.backup
        exchange.hub.metrics
        exchange.hub.alarm_hook
        exchange.hub.http*
        exchange.hub.app
    """,
    "above": """
        exchange.cli.*
        exchange.demo*
        exchange.__main__
    """,
}

# Each library belongs to the layers, or the single modules, named here.
ANYWHERE = ("core", "formats", "storage", "services", "edges", "above")
LIBRARIES: dict[str, tuple[str, ...]] = {
    "cryptography": ("core", "exchange.storage.*", "exchange.tls"),
    "orjson": ANYWHERE,
    "pydantic": ANYWHERE,
    "stix2": ("formats",),
    "stix2patterns": ("exchange.formats.stix.patterns",),
    "publicsuffixlist": ("exchange.formats.indicators.suffixes",),
    "jsonschema_rs": ("formats",),
    "sqlalchemy": ("storage",),
    "alembic": ("storage",),
    "aiohttp": ("edges",),
    "requests": ("exchange.node.feeds.session",),
    "urllib3": ("exchange.node.feeds.session",),
    "taxii2client": ("exchange.node.feeds.taxii",),
    "prometheus_client": ("edges",),
    "pyzipper": ("exchange.storage.infected_zip",),
    "pydantic_settings": ("edges",),
    "uvloop": ("edges", "above"),
    "platformdirs": ("above",),
    "rich": ("above",),
    "typer": ("above",),
}

# A pure layer sees only this much of the standard library: nothing that reads a clock, a file, a socket or chance.
PURE_STDLIB = (
    "__future__ abc base64 binascii bisect calendar collections collections.abc contextlib copy dataclasses datetime "
    "decimal enum functools hashlib heapq hmac html ipaddress itertools json math operator re string struct textwrap "
    "types typing unicodedata urllib.parse uuid zlib"
)
# formats also reads the schemas that lie in installed packages and beside its code
PACKAGE_DATA = " csv io importlib.metadata importlib.resources importlib.resources.abc pathlib"
STDLIB = {"core": PURE_STDLIB.split(), "formats": (PURE_STDLIB + PACKAGE_DATA).split()}
IMPURE = {"datetime.now", "datetime.utcnow", "datetime.today", "date.today", "uuid.uuid1", "uuid.uuid4"}
IMPURE |= {"open", "input", "print", "eval", "exec", "breakpoint", "async"}
# The network has one layer; a service reaches it through the edge it was handed.
NETWORK = {"http", "http.client", "http.server", "socket", "socketserver", "ssl", "urllib.request"}
NO_NETWORK = ("core", "formats", "storage", "services")
