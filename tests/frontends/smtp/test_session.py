"""Commands: order, parameters, extensions, XFORWARD, pipelining."""

from __future__ import annotations

from pathlib import Path

import pytest

from spamfilter.message import Peer
from tests.frontends.smtp.dialogue import HAM, relay
from tests.frontends.smtp.scripted_hop import DEFAULTS, ScriptedHop

MIB = 2**20


async def test_ehlo_offers_what_the_next_hop_offers_and_we_can_carry(tmp_path: Path, hop: ScriptedHop) -> None:
    async with relay(tmp_path, hop, trusted_peers=[]) as running:
        client = await running.connect()
        assert (await client.greet()).splitlines() == [
            b"250-mx.test",
            b"250-PIPELINING",
            b"250-8BITMIME",
            b"250-SMTPUTF8",
            b"250-DSN",
            b"250-ENHANCEDSTATUSCODES",
            b"250 SIZE 20480000",
        ]


async def test_ehlo_of_a_poor_next_hop_is_poor(tmp_path: Path, hop: ScriptedHop) -> None:
    hop.steps["EHLO"] = b"250-hop.test\r\n250 SIZE 99999999999"
    async with relay(tmp_path, hop, max_size_mib=3) as running:
        client = await running.connect()
        assert (await client.greet()) == b"250-mx.test\r\n250 SIZE %d\r\n" % (3 * MIB)
        for parameter in (b"BODY=8BITMIME", b"SMTPUTF8", b"RET=FULL"):
            assert (await client.ask(b"MAIL FROM:<a@example.org> " + parameter)).startswith(b"555 5.5.4 ")
        await client.begin()
        assert (await client.ask(b"RCPT TO:<c@example.net> NOTIFY=NEVER")).startswith(b"555 5.5.4 ")


async def test_what_is_known_of_the_next_hop_is_used_without_a_connection(tmp_path: Path, hop: ScriptedHop) -> None:
    async with relay(tmp_path, hop) as running:
        first = await (await running.connect()).greet()
        assert hop.connections == 1
        assert await (await running.connect()).greet() == first
        assert hop.connections == 1


async def test_a_next_hop_that_lost_an_extension_since_ehlo_is_a_temporary_matter(
    tmp_path: Path, hop: ScriptedHop
) -> None:
    async with relay(tmp_path, hop) as running:
        await running.client()
        client = await running.client()  # offered on the word of the first connection
        hop.steps["EHLO"] = b"250 hop.test"
        assert (await client.ask(b"MAIL FROM:<a@example.org> SMTPUTF8")).startswith(b"451 4.4.0 ")
        assert (await client.ask(b"MAIL FROM:<a@example.org>")).startswith(b"250")
        assert (await client.ask(b"RCPT TO:<b@example.net> NOTIFY=NEVER")).startswith(b"451 4.4.0 ")
        assert hop.verbs == ["EHLO", "EHLO", "MAIL"]


@pytest.mark.parametrize(
    ("mail", "rcpt"),
    [
        (b"<a@example.org>", b"<b@example.net>"),
        (b"<>", b"<b@example.net>"),
        (b"<a@example.org> SIZE=1000 BODY=8BITMIME", b"<b@example.net>"),
        (b"<a@example.org> body=7bit", b"<b@example.net>"),
        ("<jörg@example.org> SMTPUTF8 BODY=8BITMIME".encode(), "<用户@例子.example>".encode()),
        (
            b"<a@example.org> RET=HDRS ENVID=QQ314159",
            b"<b@example.net> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;Bob+2Bx@Example.net",
        ),
        (b"<a@example.org> AUTH=e+3Dmc2@example.com", b"<b@example.net>"),
        (b"<a@example.org> AUTH=<>", b"<b@example.net>"),
        (b"<a@example.org> MT-PRIORITY=3", b"<b@example.net> X-OWN=yes"),
        (b'<"john doe\\""@example.org>', b'<"a>b"@example.net>'),
    ],
    ids=["plain", "null sender", "size body", "lower case", "utf8", "dsn", "auth", "auth empty", "others", "quoted"],
)
async def test_paths_and_parameters_reach_the_next_hop_verbatim(
    tmp_path: Path, hop: ScriptedHop, mail: bytes, rcpt: bytes
) -> None:
    async with relay(tmp_path, hop) as running:
        client = await running.client()
        await client.begin(rcpt, mail=mail)
        assert (await client.data(HAM)).startswith(b"250")
        assert hop.messages[0].mail == b"MAIL FROM:" + mail
        assert hop.messages[0].rcpts == [b"RCPT TO:" + rcpt]
        envelope = running.engine.seen[0].envelope
        assert envelope.mail_from == mail[1:].rpartition(b">")[0].partition(b"> ")[0].decode()
        protocol = b"UTF8SMTP" if b"SMTPUTF8" in mail else b"ESMTP"
        assert protocol in hop.messages[0].content.partition(b" id ")[0].split()


async def test_auth_is_passed_only_to_a_next_hop_with_auth(tmp_path: Path, hop: ScriptedHop) -> None:
    hop.steps["EHLO"] = b"250-hop.test\r\n250 SIZE"
    async with relay(tmp_path, hop) as running:
        client = await running.client()
        await client.begin(mail=b"<a@example.org> SIZE=10 AUTH=<>")
        assert hop.commands[-2] == b"MAIL FROM:<a@example.org> SIZE=10"


XFORWARD = b"XFORWARD NAME=spike.example ADDR=192.0.2.77 PORT=4711 PROTO=ESMTP HELO=spike+2Eexample"


async def test_xforward_of_a_trusted_peer_is_passed_and_read(tmp_path: Path, hop: ScriptedHop) -> None:
    async with relay(tmp_path, hop) as running:
        client = await running.connect()
        assert b"XFORWARD NAME ADDR PROTO HELO SOURCE PORT IDENT\r\n" in await client.greet()
        assert await client.ask(XFORWARD) == b"250 2.0.0 Ok\r\n"
        assert await client.ask(b"XFORWARD SOURCE=REMOTE") == b"250 2.0.0 Ok\r\n"
        await client.begin()
        assert (await client.ask(XFORWARD)).startswith(b"503")
        assert (await client.data(HAM)).startswith(b"250")
        assert hop.commands[1:4] == [XFORWARD, b"XFORWARD SOURCE=REMOTE", b"MAIL FROM:<a@example.org>"]
        assert running.engine.seen[0].envelope.peer == Peer("192.0.2.77", 4711, "spike.example")
        assert b"from client.test ([127.0.0.1])" in hop.messages[0].content
        await client.begin()
        assert (await client.data(HAM)).startswith(b"250")
        peer = running.engine.seen[1].envelope.peer
        assert peer is not None
        assert (peer.address, peer.name) == ("127.0.0.1", "client.test")


async def test_xforward_is_not_for_everybody(tmp_path: Path, hop: ScriptedHop) -> None:
    async with relay(tmp_path, hop, trusted_peers=["192.0.2.0/24"]) as running:
        client = await running.connect()
        assert b"XFORWARD" not in await client.greet()
        assert (await client.ask(XFORWARD)).startswith(b"550 5.7.0 ")
        assert "XFORWARD" not in hop.verbs


@pytest.mark.parametrize("refusal", [b"501 5.5.4 Bad ADDR", b"421 4.3.2 Bye"], ids=["501", "421"])
async def test_the_next_hops_answer_to_xforward_is_relayed(tmp_path: Path, hop: ScriptedHop, refusal: bytes) -> None:
    hop.steps["XFORWARD"] = [refusal]
    async with relay(tmp_path, hop) as running:
        client = await running.client()
        assert await client.ask(XFORWARD) == refusal + b"\r\n"


async def test_xforward_is_not_known_when_the_next_hop_does_not_know_it(tmp_path: Path, hop: ScriptedHop) -> None:
    hop.steps["EHLO"] = b"250 hop.test"
    async with relay(tmp_path, hop) as running:
        client = await running.client()
        assert (await client.ask(XFORWARD)).startswith(b"502 ")


async def test_rset_forgets_xforward_at_the_next_hop_too(tmp_path: Path, hop: ScriptedHop) -> None:
    async with relay(tmp_path, hop) as running:
        client = await running.client()
        assert (await client.ask(XFORWARD)).startswith(b"250")
        assert (await client.ask(b"RSET")).startswith(b"250")
        assert hop.verbs[-1] == "RSET"


async def test_mail_after_xforward_never_goes_out_on_a_connection_that_does_not_know_it(
    tmp_path: Path, hop: ScriptedHop
) -> None:
    hop.steps["XFORWARD"] = b"250 2.0.0 Ok"
    async with relay(tmp_path, hop) as running:
        client = await running.client()
        assert (await client.ask(XFORWARD)).startswith(b"250")
        hop.steps["MAIL"] = [b"421 4.4.2 Timeout"]
        assert (await client.ask(b"MAIL FROM:<a@example.org>")).startswith(b"421")
        assert await client.at_end()
        assert hop.connections == 1


async def test_everything_in_one_packet(tmp_path: Path, hop: ScriptedHop) -> None:
    hop.steps["RCPT"] = [b"250 2.1.5 One", b"550 5.1.1 Two"]
    async with relay(tmp_path, hop) as running:
        client = await running.client()
        await client.send(
            b"MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.net>\r\nRCPT TO:<c@example.net>\r\nDATA\r\n"
            + HAM
            + b".\r\nRSET\r\nMAIL FROM:<d@example.org>\r\nRCPT TO:<e@example.net>\r\nDATA\r\n"
            + HAM
            + b".\r\nQUIT\r\n"
        )
        replies = [await client.reply() for _ in range(11)]
        assert [r[:3] for r in replies] == b"250 250 550 354 250 250 250 250 354 250 221".split()
        assert replies[2] == b"550 5.1.1 Two\r\n"
        assert [m.rcpts for m in hop.messages] == [[b"RCPT TO:<b@example.net>"], [b"RCPT TO:<e@example.net>"]]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"MAIL FROM:<a@example.org>", b"503"),
        (b"RCPT TO:<a@example.org>", b"503"),
        (b"DATA", b"503"),
        (b"EHLO", b"501"),
        (b"HELO two words", b"501"),
        (b"STARTTLS", b"502"),
        (b"AUTH PLAIN AGEAYg==", b"502"),
        (b"EXPN list", b"502"),
        (b"BDAT 5 LAST", b"500"),
        (b"GET / HTTP/1.1", b"500"),
        (b"\xff\xfe", b"500"),
        (b"", b"500"),
        (b"NOOP", b"250"),
        (b"noop with words", b"250"),
        (b"RSET", b"250"),
        (b"VRFY postmaster", b"252"),
        (b"HELP", b"214"),
        (b"NOOP " + b"x" * 5000, b"500"),
    ],
)
async def test_commands_before_ehlo(tmp_path: Path, hop: ScriptedHop, line: bytes, code: bytes) -> None:
    async with relay(tmp_path, hop) as running:
        client = await running.connect()
        await client.reply()
        assert (await client.ask(line))[:3] == code
        assert (await client.ask(b"QUIT"))[:3] == b"221"
        assert await client.at_end()
        assert hop.connections == 0


async def test_order_within_a_session(tmp_path: Path, hop: ScriptedHop) -> None:
    async with relay(tmp_path, hop) as running:
        client = await running.client()
        assert (await client.ask(b"DATA")).startswith(b"503")
        await client.begin()
        assert (await client.ask(b"MAIL FROM:<again@example.org>")).startswith(b"503")
        assert (await client.ask(b"DATA now")).startswith(b"501")
        assert (await client.ask(b"RCPT TO:<>")).startswith(b"501")
        assert (await client.ask(b"EHLO client.test")).startswith(b"250")  # RFC 5321 4.1.4: as RSET does
        assert hop.verbs[-1] == "RSET"
        assert (await client.ask(b"RCPT TO:<b@example.net>")).startswith(b"503")


async def test_helo_has_no_extensions(tmp_path: Path, hop: ScriptedHop) -> None:
    async with relay(tmp_path, hop) as running:
        client = await running.connect()
        await client.reply()
        assert await client.ask(b"HELO client.test") == b"250 mx.test\r\n"
        assert (await client.ask(b"MAIL FROM:<a@example.org> SIZE=1")).startswith(b"555")
        await client.begin()
        assert await client.data(HAM) == DEFAULTS["DOT"] + b"\r\n"
        assert b" with\r\n\tSMTP id" in hop.messages[0].content


async def test_control_characters_do_not_reach_the_next_hop(tmp_path: Path, hop: ScriptedHop) -> None:
    async with relay(tmp_path, hop) as running:
        client = await running.client()
        assert (await client.ask(b"MAIL FROM:<a@example.org>\rRCPT TO:<x@y.z>")).startswith(b"501")
        assert (await client.ask(b"XFORWARD NAME=a\rMAIL FROM:<x@y.z>")).startswith(b"501")
        assert hop.verbs == ["EHLO"]


async def test_sizes(tmp_path: Path, hop: ScriptedHop) -> None:
    async with relay(tmp_path, hop, max_size_mib=1) as running:
        client = await running.client()
        assert (await client.ask(b"MAIL FROM:<a@example.org> SIZE=%d" % (MIB + 1))).startswith(b"552 5.3.4 ")
        assert (await client.ask(b"MAIL FROM:<a@example.org> SIZE=x")).startswith(b"501")
        assert "MAIL" not in hop.verbs
        await client.begin(mail=b"<a@example.org> SIZE=%d" % MIB)
        assert (await client.data(b"x" * MIB + b"\r\n")).startswith(b"552 5.3.4 ")
        assert hop.verbs[-1] == "RSET"
        await client.begin()
        assert (await client.data(HAM)).startswith(b"250")
        assert len(hop.messages) == 1
        assert len(running.engine.seen) == 1


async def test_recipients_have_a_limit(tmp_path: Path, hop: ScriptedHop) -> None:
    async with relay(tmp_path, hop, max_recipients=2) as running:
        client = await running.client()
        await client.begin(b"<b@example.net>", b"<c@example.net>")
        assert (await client.ask(b"RCPT TO:<d@example.net>")).startswith(b"452 4.5.3 ")
        assert (await client.data(HAM)).startswith(b"250")
        assert len(hop.messages[0].rcpts) == 2
        assert hop.verbs.count("RCPT") == 2


@pytest.mark.parametrize("end", [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r"], ids=repr)
async def test_a_smuggled_message_is_refused_with_its_carrier(tmp_path: Path, hop: ScriptedHop, end: bytes) -> None:
    smuggled = b"MAIL FROM:<evil@example.org>\r\nRCPT TO:<b@example.net>\r\nDATA\r\nevil\r\n.\r\n"
    async with relay(tmp_path, hop) as running:
        client = await running.client()
        await client.begin()
        assert (await client.ask(b"DATA")).startswith(b"354")
        await client.send(HAM + end + smuggled)
        assert (await client.reply()).startswith(b"554 5.6.0 ")
        await client.begin()
        assert (await client.data(HAM)).startswith(b"250")
        assert len(hop.messages) == 1
        assert hop.messages[0].content.endswith(HAM)
        assert len(running.log.settled) == 1
