"""How a notice goes out: a command, a mail, or apprise. Each is one try with a time limit, beside the event loop.

Owns the ways and what each may see: the notice's fixed words and nothing else of this process, neither its environment
nor its open files. When a way is tried and again is alarm_hook.py's.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import signal
import smtplib
import socket
import ssl
import stat
import sys
from asyncio import subprocess
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from pathlib import Path
from typing import Final

from exchange.alarm import APPRISE, COMMAND, MAIL, AlarmSettings, Notice
from exchange.errors import ExchangeError, Refused, Unavailable
from exchange.storage.unlock import require_private

SECONDS: Final = 30.0  # for one try
_STEP_SECONDS: Final = 10.0  # for one answer of a mail server
_MOST_LOGIN: Final = 1_024
_APPRISE: Final = "from apprise.cli import main; main()"
_APPRISE_OPTIONS: Final = ("-n", "warning", "-SM", "memory")  # it keeps nothing on disk

Way = Callable[[Notice], Awaitable[None]]


def ways(settings: AlarmSettings, home: Path, *, seconds: float = SECONDS) -> dict[str, Way]:
    """What is configured, by name. A way raises Unavailable alarm.*, or Refused where the configuration is wrong.

    `home`: the folder that the settings' files are relative to.
    """

    async def command(notice: Notice) -> None:
        environment = notice.environment(settings.language)
        await _run(list(settings.command), environment, b"", code="alarm.command", seconds=seconds)

    async def mail(notice: Notice) -> None:
        await deliver(settings, home, _letter(settings, notice), seconds=seconds)

    async def apprise(notice: Notice) -> None:
        urls = _urls(settings, home)
        # In a process of its own, which can be ended; the addresses are in the file, the words come by stdin.
        argv = [sys.executable, "-I", "-c", _APPRISE, *_APPRISE_OPTIONS, "-c", str(urls)]
        text = notice.text(settings.language).encode()
        await _run(argv, {"HOME": os.environ.get("HOME", "/")}, text, code="alarm.apprise", seconds=seconds)

    known: Mapping[str, Way] = {COMMAND: command, MAIL: mail, APPRISE: apprise}
    return {name: known[name] for name in settings.ways}


def unready(settings: AlarmSettings, home: Path) -> dict[str, ExchangeError]:
    """What would keep a configured way from going out, by its name, as far as that shows without sending anything.

    Its program or its files are looked at as the way itself does; a server's answer, or a program's, is not known.
    """
    looks: Mapping[str, Callable[[AlarmSettings, Path], object]] = {
        COMMAND: _program,
        MAIL: _mail_secrets,
        APPRISE: _urls,
    }
    faults: dict[str, ExchangeError] = {}
    for way in settings.ways:
        try:
            looks[way](settings, home)
        except ExchangeError as error:
            faults[way] = error
    return faults


def _program(settings: AlarmSettings, _: Path) -> None:
    """Could the kernel run it? `_run` doesn't ask before: it tries. Raises Unavailable alarm.command."""
    path = Path(settings.command[0])
    try:
        is_file = stat.S_ISREG(path.stat().st_mode)
    except OSError as error:
        raise _no_program(path, error.strerror) from error
    if not is_file:
        raise _no_program(path, "it isn't a file")
    if not os.access(path, os.X_OK):
        raise _no_program(path, f"it isn't executable; run: chmod +x {path}")


def _no_program(path: Path, why: str | None) -> Unavailable:
    return Unavailable("alarm.command", f"{path} can't be run: {why}")


def _mail_secrets(settings: AlarmSettings, home: Path) -> tuple[tuple[str, str] | None, ssl.SSLContext]:
    """The login, if there is one, and whom to trust. Raises Refused keystore.mode, settings.invalid."""
    login = _login(home / settings.mail_login) if settings.mail_login else None
    return login, _tls(home / settings.mail_ca if settings.mail_ca else None)


def _urls(settings: AlarmSettings, home: Path) -> Path:
    """The file that apprise is given. Raises Refused alarm.no-apprise, keystore.mode, settings.invalid."""
    if importlib.util.find_spec("apprise") is None:
        raise Refused("alarm.no-apprise")
    urls = home / settings.apprise
    _read_private(urls)
    return urls


async def _run(
    argv: list[str], environment: dict[str, str], text: bytes, *, code: str, seconds: float
) -> None:
    """Run a program without a shell until it ends; it and what it started are killed when time is over.

    Raises Unavailable `code`.
    """
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8", **environment}
    try:
        child = await asyncio.create_subprocess_exec(
            *argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
            cwd="/",
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise Unavailable(code, f"{argv[0]} can't be run: {why}") from error
    try:
        async with asyncio.timeout(seconds):
            await child.communicate(text)
    except TimeoutError:
        raise Unavailable(code, f"{argv[0]} didn't end within {seconds:g} s") from None
    finally:
        with suppress(ProcessLookupError):  # also what it left behind, and when this process is stopped
            os.killpg(child.pid, signal.SIGKILL)
        if child.returncode is None:
            await child.wait()
    if child.returncode:
        raise Unavailable(code, f"{argv[0]} ended with {child.returncode}")


class _Letter:
    """One mail on its way. `send` runs in a thread; `cut` ends it from outside."""

    def __init__(self, settings: AlarmSettings, home: Path, message: EmailMessage) -> None:
        self._settings = settings
        self._home = home
        self._message = message
        self._socket: socket.socket | None = None

    def send(self) -> None:
        """Hand it to the server. Raises Unavailable alarm.mail, Refused keystore.mode, settings.invalid."""
        settings = self._settings
        login, context = _mail_secrets(settings, self._home)
        where = (settings.mail_server, settings.mail_port)
        own_name = settings.mail_from.partition("@")[2]  # not this machine's
        try:
            if settings.mail_security == "tls":
                server: smtplib.SMTP = smtplib.SMTP_SSL(
                    *where, local_hostname=own_name, timeout=_STEP_SECONDS, context=context
                )
            else:
                server = smtplib.SMTP(*where, local_hostname=own_name, timeout=_STEP_SECONDS)
            with server:
                self._socket = server.sock
                if settings.mail_security == "starttls":
                    server.starttls(context=context)
                    self._socket = server.sock
                if login is not None:
                    server.login(*login)
                server.send_message(self._message)
        except smtplib.SMTPResponseException as error:
            raise Unavailable("alarm.mail", f"the mail server answered {error.smtp_code}") from error
        except (smtplib.SMTPException, OSError, ValueError) as error:  # ValueError: no host's name, no ASCII
            raise Unavailable("alarm.mail", f"the mail server: {_why(error)}") from error

    def cut(self) -> None:
        """End the connection, so that the thread comes back."""
        with suppress(OSError):
            if self._socket is not None:
                self._socket.shutdown(socket.SHUT_RDWR)


async def deliver(
    settings: AlarmSettings, home: Path, message: EmailMessage, *, seconds: float = SECONDS
) -> None:
    """Hand a mail to the server of `settings`, one try. Raises Unavailable alarm.mail, Refused keystore.mode,
    settings.invalid.
    """
    letter = _Letter(settings, home, message)
    sending = asyncio.ensure_future(asyncio.to_thread(letter.send))
    done, _ = await asyncio.wait([sending], timeout=seconds)
    if not done:
        letter.cut()
        with suppress(Unavailable, Refused):
            await sending
        raise Unavailable("alarm.mail", f"the mail server took longer than {seconds:g} s")
    await sending


def _letter(settings: AlarmSettings, notice: Notice) -> EmailMessage:
    message = EmailMessage()
    message["From"] = settings.mail_from
    message["To"] = ", ".join(settings.mail_to)
    message["Subject"] = notice.title(settings.language)
    message["Date"] = formatdate()
    message["Message-ID"] = make_msgid(domain=settings.mail_from.partition("@")[2])
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(notice.text(settings.language) + "\n")
    return message


def _tls(ca: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=None if ca is None else str(ca))
    except OSError as error:
        detail = f"alarm.mail_ca: {ca} isn't a PEM certificate that can be read: {_why(error)}"
        raise Refused("settings.invalid", detail) from error


def _login(path: Path) -> tuple[str, str]:
    user, _, password = _read_private(path).strip().partition(":")
    if not user or not password:
        raise Refused("settings.invalid", f"alarm.mail_login: {path} must have one line, user:password")
    if not (user + password).isascii():
        raise Refused("settings.invalid", f"alarm.mail_login: {path} may have letters of ASCII only")
    return user, password


def _read_private(path: Path) -> str:
    """The beginning of a file of secrets. Raises Refused settings.invalid, keystore.mode."""
    try:
        with path.open(encoding="utf-8") as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise Refused("settings.invalid", f"config.toml names {path}, which isn't a file")
            require_private(mode, path)
            return file.read(_MOST_LOGIN)
    except (OSError, UnicodeDecodeError) as error:
        why = "no UTF-8" if isinstance(error, UnicodeDecodeError) else _why(error)
        raise Refused("settings.invalid", f"config.toml names {path}, which can't be read: {why}") from None


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return error.reason or "TLS"
    return (error.strerror if isinstance(error, OSError) else "") or type(error).__name__
