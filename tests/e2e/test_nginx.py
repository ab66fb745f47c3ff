"""The console behind a real nginx, with the shipped configuration: who signed in there is known here."""

from __future__ import annotations

import getpass
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
import yaml

from tests.__main__ import ROOT
from tests.conftest import absent
from tests.e2e.daemon import serving

NAME = "filter.example.org"
SHIPPED = ROOT / "deploy" / "console"
_PLAIN = "ann:{PLAIN}secret\n"
_AROUND = """\
daemon off;
user {user};
pid {root}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {root}/body;
    proxy_temp_path {root}/proxy;
    fastcgi_temp_path {root}/fastcgi;
    uwsgi_temp_path {root}/uwsgi;
    scgi_temp_path {root}/scgi;
    include {root}/spamfilter.conf;
}}
"""

pytestmark = pytest.mark.e2e


@pytest.fixture
def proxied(tmp_path: Path) -> Iterator[httpx.Client]:
    """A browser's way through nginx to a daemon that has the shipped settings."""
    for program, package in (("nginx", "nginx-light"), ("openssl", "openssl")):
        if shutil.which(program, path="/usr/sbin:/usr/bin:/usr/local/bin") is None:
            absent(f"{program} is missing: install {package}", "SPAMFILTER_REQUIRE_SERVERS")
    settings = yaml.safe_load((SHIPPED / "console.yaml").read_text("utf-8"))
    with serving(tmp_path / "daemon", settings) as daemon:
        port = _free_port()
        _configure(tmp_path, port, urlsplit(daemon.pages).port)
        nginx = subprocess.Popen(
            ["nginx", "-e", "stderr", "-c", tmp_path / "nginx.conf"], env={"PATH": "/usr/sbin:/usr/bin"}
        )
        try:
            trust = ssl.create_default_context(cafile=str(tmp_path / "certificate.pem"))
            transport = httpx.HTTPTransport(verify=trust, retries=8)
            with httpx.Client(
                transport=transport, base_url=f"https://127.0.0.1:{port}", headers={"Host": NAME}
            ) as client:
                yield client
        finally:
            nginx.terminate()
            nginx.wait(timeout=20)


def test_who_signs_in_at_the_proxy_is_signed_in_here(proxied: httpx.Client) -> None:
    stranger = _get(proxied, "/")
    assert stranger.status_code == 401
    ann = _get(proxied, "/try", auth=("ann", "secret"))
    assert ann.status_code == 200
    assert "ann" in ann.text and "operator" in ann.text
    assert "set-cookie" not in ann.headers  # the proxy vouches for each request anew
    assert "max-age" in ann.headers["strict-transport-security"]


def test_a_browser_cannot_claim_to_be_somebody_else(proxied: httpx.Client) -> None:
    claimed = _get(proxied, "/try", auth=("ann", "secret"), headers={"Host": NAME, "X-Remote-User": "root"})
    assert claimed.status_code == 200
    assert '<span class="me-name">ann</span>' in claimed.text


def _get(client: httpx.Client, path: str, **options: object) -> httpx.Response:
    return client.get(path, extensions={"sni_hostname": NAME}, **options)  # type: ignore[arg-type]


def _configure(root: Path, port: int, console: int | None) -> None:
    """The shipped file with a port, a certificate and people of the test's own."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}",
         "-keyout", root / "key.pem", "-out", root / "certificate.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    (root / "people").write_text(_PLAIN, "ascii")
    shipped = (SHIPPED / "spamfilter.conf").read_text("utf-8")
    for shown, own in (
        ("listen 443", f"listen 127.0.0.1:{port}"),
        ("/etc/ssl/filter.example.org.pem", str(root / "certificate.pem")),
        ("/etc/ssl/private/filter.example.org.key", str(root / "key.pem")),
        ("/etc/nginx/spamfilter.htpasswd", str(root / "people")),
        ("127.0.0.1:11380", f"127.0.0.1:{console}"),
    ):
        assert shipped.count(shown) == 1, shown
        shipped = shipped.replace(shown, own)
    (root / "spamfilter.conf").write_text(shipped, "utf-8")
    (root / "nginx.conf").write_text(_AROUND.format(root=root, user=getpass.getuser()), "utf-8")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
