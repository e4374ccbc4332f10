"""The URL of a server that a user gives: it is parsed and checked, and its password is kept out of every text."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import quote, unquote, urlencode, urlsplit

from harness.errors import BadInput

__all__ = ["Address"]

_REFUSED = {
    "options": "it would hide the virtual clock. Set what you need for the role: ALTER ROLE ... SET ...",
    "application_name": "the harness tells its own sessions by it.",
    "dbname": "each exploration makes a database of its own.",
    "sslpassword": "it would be in every text with the URL. Give a key without a passphrase.",
}


@dataclass(frozen=True, slots=True)
class Address:
    """The address of a server, and the user that connects; ``text`` is for messages and has no secret."""

    user: str
    places: str
    parameters: tuple[tuple[str, str], ...] = ()
    password: str = field(default="", repr=False)

    @classmethod
    def parse(cls, url: str) -> Address:
        """Return the address in *url*; raises ``BadInput`` if it can't be used.

        The text of that error quotes no part of the URL. The database in the URL is ignored: it is never touched.
        """
        try:
            parts = urlsplit(url)
        except ValueError:
            raise _unusable("it can't be taken apart") from None
        if parts.scheme not in ("postgresql", "postgres") or not url.partition(":")[2].startswith("//"):
            driver = parts.scheme.startswith("postgresql+")
            raise _unusable("it names a driver, which is SQLAlchemy's way" if driver else "it is none of PostgreSQL")
        user, _, places = parts.netloc.rpartition("@")
        if "," in places:
            raise _unusable("it names several hosts, and all processes must reach the same one")
        name, _, password = user.partition(":")
        # Parsed as libpq does, which does not read a plus sign as a blank (``parse_qsl`` would).
        pairs = [part.partition("=") for part in parts.query.split("&") if part]
        parameters = [(unquote(key), unquote(value)) for key, _, value in pairs]
        for key, why in _REFUSED.items():
            if any(key == name for name, _ in parameters):
                raise _unusable(f"it has the parameter {key!r}: {why}")
        given = {"user": unquote(name), "password": unquote(password)} | dict(parameters)
        kept = tuple((key, value) for key, value in parameters if key not in ("user", "password"))
        return cls(given["user"], places, kept, given["password"])

    @property
    def text(self) -> str:
        """The address in words, for messages."""
        where = self.places or dict(self.parameters).get("host") or "the default socket"
        return f"{where} as {self.user}" if self.user else where

    def url(self, database: str, **more: str) -> str:
        """Return the URL of *database*, without the password and with the additional parameters *more*."""
        who = f"{quote(self.user, safe='')}@" if self.user else ""
        query = urlencode({**dict(self.parameters), **more}, safe="/", quote_via=quote)
        return f"postgresql://{who}{self.places}/{database}{'?' if query else ''}{query}"


def _unusable(why: str) -> BadInput:
    return BadInput(
        f"The URL given for PostgreSQL can't be used: {why}. It reads postgresql://USER:PASSWORD@HOST:PORT/; what differs may "
        "be left out. (It is not shown, for a password may be in it.)"
    )
