"""The console as a part of the daemon: it listens, answers, and is gone; strangers cannot make it start open."""

from __future__ import annotations

import asyncio
import signal
import ssl
import stat
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from spamfilter.config import Address, ConfigError
from spamfilter.console.security.roles import Role
from tests.console.conftest import Serve
from tests.console.serving import Proxy, Served, Settings

ANYWHERE = Address(host="0.0.0.0", port=0)
PASSWORD = "correct horse battery"


async def test_the_first_thing_a_stranger_sees_is_the_sign_in(served: Served) -> None:
    client = await served.client()
    answer = await client.get("/try?example=sms")
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=/try%3Fexample%3Dsms")
    page = await client.get("/login")
    assert page.status_code == 200
    assert "Sign in" in page.text


async def test_the_address_is_known_for_a_port_of_the_systems_choice(served: Served) -> None:
    assert served.console.address.port > 0
    assert served.console.link.startswith(f"http://127.0.0.1:{served.console.address.port}/enter?key=")


async def test_an_address_in_use_is_an_os_error_and_leaves_nothing(
    serve: Serve, served: Served, tmp_path: Path
) -> None:
    with pytest.raises(OSError):
        await serve(Settings(listen=served.console.address))
    assert (await (await served.client()).get("/login")).status_code == 200


async def test_it_takes_no_signals(serve: Serve) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    await serve()
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


async def test_it_stops_although_browsers_hold_connections(served: Served) -> None:
    client = await served.client("viewer")
    await client.get("/keys")  # leaves a connection open
    reader, writer = await asyncio.open_connection("127.0.0.1", served.console.address.port)
    writer.write(b"GET /keys HTTP/1.1\r\nHost: 127.0.0.1\r\n")  # a request that never ends
    await writer.drain()
    await served.console.stop(0.0)
    with pytest.raises(httpx.TransportError):
        await client.get("/keys")
    assert await reader.read() == b""
    writer.close()


async def test_it_starts_again_after_a_stop(served: Served) -> None:
    await served.console.stop(1.0)
    await served.console.start()
    assert (await (await served.client()).get("/login")).status_code == 200


async def test_the_link_lies_where_only_its_owner_can_read_and_goes_with_the_console(
    served: Served, tmp_path: Path
) -> None:
    path = tmp_path / "console" / "link"
    assert path.read_text().strip() == served.console.link
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    await served.console.stop(1.0)
    assert not path.exists()


async def test_open_to_others_it_starts_only_where_somebody_can_be_told_from_strangers(serve: Serve) -> None:
    with pytest.raises(ConfigError, match=r"nobody has an account.*console user add"):
        await serve(Settings(listen=ANYWHERE))


async def test_with_an_account_it_starts_anywhere_and_makes_no_link(serve: Serve, served: Served) -> None:
    served.services.security.accounts.add("ann", Role.ADMIN, PASSWORD, "2026-01-01")
    await served.console.stop(1.0)
    other = await serve(Settings(listen=ANYWHERE))
    assert other.console.link == other.origin


async def test_with_a_proxy_that_signs_people_in_it_starts_anywhere(serve: Serve) -> None:
    assert (await serve(Settings(listen=ANYWHERE, proxy=Proxy("X-User")))).console.address.port > 0


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[str, str]:
    """A certificate for 127.0.0.1 and its key, as files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "console")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (tmp_path / "tls.pem").write_bytes(made.public_bytes(pem))
    (tmp_path / "tls.key").write_bytes(private)
    return str(tmp_path / "tls.pem"), str(tmp_path / "tls.key")


async def test_with_a_certificate_it_speaks_https(serve: Serve, certificate: tuple[str, str]) -> None:
    served = await serve(Settings(tls_certificate=certificate[0], tls_key=certificate[1]))
    assert served.console.link.startswith("https://127.0.0.1:")
    trust = ssl.create_default_context(cafile=certificate[0])
    client = await served.client(verify=trust)
    answer = await client.get(served.console.link)
    assert answer.status_code == 303
    assert "; Secure" in answer.headers["set-cookie"]
    assert answer.headers["strict-transport-security"].startswith("max-age=")


async def test_what_is_no_certificate_is_told(serve: Serve, certificate: tuple[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"none\.pem.*No such file"):
        await serve(Settings(tls_certificate="none.pem", tls_key=certificate[1]))
    with pytest.raises(ConfigError, match=r"console\.tls_key.*PEM"):
        await serve(Settings(tls_certificate=certificate[0], tls_key=certificate[0]))


async def test_a_unix_socket_is_refused(serve: Serve) -> None:
    with pytest.raises(ConfigError, match="HOST:PORT"):
        await serve(Settings(listen=Address(path="/run/console")))
