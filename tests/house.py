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
        exchange.alarm
        exchange.access
        exchange.door_settings
        exchange.feed_settings
        exchange.settings
    """,
    "formats": """
        exchange.formats.vocabulary
        exchange.formats.objects
        exchange.formats.json_spans
        exchange.formats.source
        exchange.formats.stix_time
        exchange.formats.markings
        exchange.formats.flat_schemas
        exchange.formats.permissions
        exchange.formats.validation
        exchange.formats.patterns
        exchange.formats.suffixes
        exchange.formats.stix
        exchange.formats.making
        exchange.formats.incident
        exchange.formats.cover
        exchange.formats.handing_on
        exchange.formats.text
        exchange.formats.members
        exchange.formats.defang
        exchange.formats.refang
        exchange.formats.mentions
        exchange.formats.extract
        exchange.formats.indicators
        exchange.formats.spreadsheet
        exchange.formats.indicator_table
        exchange.formats.indicator_sheet
        exchange.formats.paste
        exchange.formats.shadowserver
        exchange.formats.misp_types
        exchange.formats.misp_stix
        exchange.formats.misp_labels
        exchange.formats.misp_made
        exchange.formats.misp_back
        exchange.formats.misp_sightings
        exchange.formats.misp_galaxies
        exchange.formats.misp_attribute
        exchange.formats.misp_object
        exchange.formats.misp
        exchange.formats.misp_write
        exchange.formats.csaf_made
        exchange.formats.csaf_products
        exchange.formats.csaf_vulnerabilities
        exchange.formats.csaf
        exchange.formats.contact_table
        exchange.formats.contact_preview
        exchange.formats.contact_vcard
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
        exchange.node.hub_api
        exchange.node.log_watch
        exchange.node.hub_help
        exchange.node.other_log
        exchange.node.directory_sync
        exchange.node.trust
        exchange.node.peer_prekeys
        exchange.node.prekeys
        exchange.node.outbox
        exchange.node.proofs
        exchange.node.uploads
        exchange.node.together
        exchange.node.attaching
        exchange.node.attachments
        exchange.node.answers
        exchange.node.parts
        exchange.node.notices
        exchange.node.exposure
        exchange.node.registration
        exchange.node.own_keys
        exchange.node.succession
        exchange.node.disclosures
        exchange.node.control_messages
        exchange.node.questions
        exchange.node.retention
        exchange.node.receipts
        exchange.node.restore
        exchange.node.opening
        exchange.node.storing
        exchange.node.inbox
        exchange.node.reading
        exchange.node.outside
        exchange.node.feed_api
        exchange.node.feeds
        exchange.node.collections
        exchange.node.posting
        exchange.node.drafts
        exchange.node.doorkeeper
        exchange.node.large
        exchange.node.desk
        exchange.node.doors
        exchange.node.constituents
        exchange.node.attachment_desk
        exchange.node.checklist
        exchange.node.membership
        exchange.node.introduction
        exchange.node.condition
        exchange.node.writing
        exchange.node.address_book
        exchange.node.mail_facts
        exchange.node.mail_view
        exchange.node.mail_search
        exchange.node.mail_events
        exchange.node.mail_sending
        exchange.node.posted_mail
        exchange.node.counterparts
        exchange.node.contact_tests
        exchange.node.secretariat
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
        exchange.loop_lag
        exchange.exposition
        exchange.http_guard
        exchange.http_rate
        exchange.tls
        exchange.zones
        exchange.node.home
        exchange.node.units
        exchange.node.backup
        exchange.node.hub_feed
        exchange.node.hub_pieces
        exchange.node.hub_answers
        exchange.node.hub_blobs
        exchange.node.hub_client
        exchange.node.feed_answers
        exchange.node.feed_threads
        exchange.node.feed_session
        exchange.node.feed_taxii
        exchange.node.feed_misp
        exchange.node.feed_servers
        exchange.node.control
        exchange.node.node
        exchange.node.control_keys
        exchange.node.control_verbs
        exchange.node.metrics
        exchange.node.http_context
        exchange.node.http_problems
        exchange.node.http_auth
        exchange.node.http_query
        exchange.node.http_taxii
        exchange.node.api_models
        exchange.node.api_asked
        exchange.node.http_api_call
        exchange.node.http_api_mail
        exchange.node.http_api_directory
        exchange.node.http_api_events
        exchange.node.api_openapi
        exchange.node.http_api
        exchange.node.http
        exchange.node.door_tls
        exchange.node.door
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
    "stix2patterns": ("exchange.formats.patterns",),
    "publicsuffixlist": ("exchange.formats.suffixes",),
    "jsonschema_rs": ("formats",),
    "sqlalchemy": ("storage",),
    "alembic": ("storage",),
    "aiohttp": ("edges",),
    "requests": ("exchange.node.feed_session",),
    "urllib3": ("exchange.node.feed_session",),
    "taxii2client": ("exchange.node.feed_taxii",),
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
