"""Every limit of docs/protocol.md §12, once, with its unit. Settings may lower some of them; nothing raises them."""

from __future__ import annotations

from typing import Final

SECOND_MS: Final = 1_000
MINUTE_MS: Final = 60 * SECOND_MS
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS

MAX_HEADER: Final = 262_144  # bytes
MAX_RECIPIENTS: Final = 1_000
MAX_STIX: Final = 10_485_760  # bytes of one payload
MAX_CONTENT: Final = MAX_STIX + 65_536  # bytes of frame and payload
MAX_BODY: Final = 11_534_336  # bytes, encrypted and padded
MAX_UPLOAD: Final = 13_107_200  # bytes of one envelope on its way to the hub
MAX_META: Final = 16_384  # bytes
MAX_CONTROL: Final = 262_144  # bytes of a control payload
MAX_OBJECTS: Final = 20_000  # STIX objects in a payload
MAX_STIX_DEPTH: Final = 64

MAX_ATTACHMENT: Final = 104_857_600  # bytes, as the sender's file has them
MAX_BLOB: Final = 104_960_072  # bytes of the largest attachment, padded and sealed
MAX_ATTACHMENTS: Final = 16  # of one message
MAX_ATTACHMENT_NAME: Final = 255  # bytes of UTF-8

MAX_BATCH_ITEMS: Final = 64  # envelopes in one upload request
MAX_BATCH_BYTES: Final = 16_777_216
MAX_RECEIPT_LEAVES: Final = 256
MAX_STATEMENT: Final = 65_536  # bytes of a statement's body
MAX_STATEMENT_SIGNATURES: Final = 64
MAX_LEAF: Final = 524_288  # bytes: a statement with all its signatures
MAX_JSON_REQUEST: Final = 1_048_576  # bytes
MAX_PREKEY_RECORD: Final = 4_096  # bytes
MAX_TOKEN: Final = 2_048  # bytes
MAX_HEAD: Final = 16_384  # bytes of request line and headers

HEAD_SECONDS: Final = 10
BODY_SECONDS: Final = 30
BODY_RATE: Final = 2_048  # bytes a second a body must at least make
POLL_SECONDS: Final = 60
POLLS: Final = 4  # long polls that wait for one member
CALLER_BYTES: Final = 33_554_432  # of one caller's bodies in work, and as much of what it has not read yet
PAGE_BYTES: Final = 1_048_576
MAX_PAGE_BYTES: Final = 4_194_304
SOCKET_BYTES: Final = 4_194_304  # bytes in flight on a WebSocket that the node has not stored yet
SOCKET_ITEMS: Final = 256
URGENT_BYTES: Final = 1_048_576  # of flash beyond them, so that it waits for no room
URGENT_ITEMS: Final = 32
WINDOW_BYTES: Final = 32_768  # under way at least, on however thin a link
LARGE_BYTES: Final = 65_536  # a delivery or upload longer than this goes in pieces
PIECE_BYTES: Final = 1_048_576  # of one, at most
PARTIAL_UPLOADS: Final = 2  # of one sender, kept while their pieces come
PARTIAL_MS: Final = DAY_MS  # since the last piece
QUOTA_BLOBS: Final = 256  # of one member at the hub
QUOTA_BLOB_BYTES: Final = 2_147_483_648
BLOB_CALLS: Final = 4  # of one member under way, in each direction
BLOB_KEPT_MS: Final = DAY_MS  # since its last byte, or the last `exp` of the envelopes that name it
BLOB_SYNC_BYTES: Final = 4_194_304  # of an upload that a crash may take
CHALLENGE_MS: Final = 10 * MINUTE_MS

QUOTA_ENVELOPES: Final = 20_000  # un-receipted envelopes per sender at the hub
QUOTA_BYTES: Final = 1_073_741_824

RETENTION_DAYS: Final = 30  # of header metadata and receipts at a hub past an envelope's `exp`, at most

TOKEN_LIFE_SECONDS: Final = 300
TOKEN_AHEAD_SECONDS: Final = 60
IAT_AHEAD_MS: Final = DAY_MS
CLOCK_MARK_MS: Final = 10 * MINUTE_MS
LEAF_AHEAD_MS: Final = 10 * MINUTE_MS
STALE_CHECKPOINT_MS: Final = DAY_MS
PREKEY_MARGIN_MS: Final = DAY_MS  # an envelope's exp lies this long before its prekey's destroy
RESTORED_SETTLE_MS: Final = DAY_MS  # a restored hub waits so long for members it hasn't heard
GAP_PATIENCE_MS: Final = 5 * MINUTE_MS
GAP_REPEAT_MS: Final = DAY_MS
GAP_SHOWN_MS: Final = 25 * HOUR_MS  # asked for twice, in vain: people are shown it
