"""A mail server for tests, on loopback: takes mail over STARTTLS with a login, and keeps it."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

LOGIN = base64.b64encode(b"\0duty\0letmein").decode()


@dataclass
class MailServer:
    """What it took: (was it encrypted, recipients, the letter's text). `refuse`: answer mail so, "" to take it."""

    port: int = 0
    refuse: str = ""
    mute: bool = False
    taken: list[tuple[bool, list[str], str]] = field(default_factory=list)

    async def talk(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, tls: ssl.SSLContext
    ) -> None:
        """One connection, until it ends."""
        encrypted, known, to = False, False, []

        def say(text: str) -> None:
            writer.write(f"{text}\r\n".encode())

        if not self.mute:
            say("220 mail")
        while line := (await reader.readline()).decode().strip():
            verb = line.split()[0].upper()
            if verb == "EHLO":
                say("250-mail\r\n250 " + ("AUTH PLAIN" if encrypted else "STARTTLS"))
            elif verb == "STARTTLS":
                say("220 go")
                await writer.drain()
                await writer.start_tls(tls)
                encrypted = True
            elif verb == "AUTH":
                known = line.endswith(LOGIN)
                say("235 ok" if known else "535 no")
            elif verb in ("MAIL", "RCPT"):
                to += [line[8:]] if verb == "RCPT" else []
                say(self.refuse or ("250 ok" if known else "530 login"))
            elif verb == "DATA":
                say("354 go")
                letter = (await reader.readuntil(b"\r\n.\r\n")).decode()
                self.taken.append((encrypted, to, letter))
                say("250 ok")
            else:  # QUIT, RSET
                say("221 bye" if verb == "QUIT" else "250 ok")
            await writer.drain()
        writer.close()


@asynccontextmanager
async def mail_server(tls: ssl.SSLContext) -> AsyncIterator[MailServer]:
    """One that listens; `tls` has its certificate."""
    one = MailServer()
    server = await asyncio.start_server(lambda r, w: one.talk(r, w, tls), "127.0.0.1", 0)
    one.port = server.sockets[0].getsockname()[1]
    async with server:
        yield one
