"""Facts read from the header block: trace, identity, dates, recipients, subject, lists, mailers.

Only the fields named here are ever read: no other filter's verdict header can reach a model. Sources: RFC 5322, RFC
5321 4.4 (trace fields), RFC 2369 and 2919 (lists), and ideas from years of public rule sets.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from spamfilter.facts.addresses import CHEAP_TLD, FREEMAIL, NUMERIC_HOST, address_of, claims_brand, registered
from spamfilter.facts.clues import clued, lowered
from spamfilter.facts.text import MONEY
from spamfilter.mime import Headers, decode_words

HEADER_FACTS: tuple[str, ...] = tuple(
    """
    received_none received_one received_two received_many received_dynamic_client received_numeric_helo
    received_unverified_client received_helo_differs received_helo_bare_name received_by_webmail
    received_local_origin message_id_missing message_id_malformed message_id_host_is_senders
    message_id_host_numeric message_id_host_bare message_id_has_dollar message_id_only_digits message_id_long
    message_id_angle_missing message_id_upper date_missing date_malformed date_without_zone date_off_by_a_day
    date_off_by_an_hour date_zone_odd date_weekday_missing from_missing from_several from_without_name
    from_name_holds_address from_name_quoted from_freemail from_domain_has_digits from_user_has_digits
    from_cheap_domain from_user_long from_name_is_user from_name_upper from_malformed from_encoded
    reply_to_present reply_to_other_domain reply_to_freemail reply_to_same return_path_other_domain
    return_path_null return_path_same sender_field_present to_missing to_undisclosed to_several to_is_sender
    to_without_name to_named cc_present to_many subject_missing subject_empty subject_reply
    subject_reply_without_reference subject_reply_with_reference subject_forward subject_upper
    subject_mostly_upper subject_exclaims subject_asks subject_money subject_encoded subject_raw_8bit
    subject_trailing_id subject_tag subject_long subject_starts_lower subject_names_recipient references_present
    in_reply_to_present list_id list_unsubscribe list_unsubscribe_only list_post list_precedence errors_to
    mailer_present user_agent_present mailer_outlook mailer_outlook_forged mailer_outlook_express mailer_bulk
    mailer_free_software mailer_phone mailer_short_word thread_index priority_high importance_present
    organization_present mime_version_missing mime_version_odd_spelling received_spf_present dkim_present
    x_headers_many x_headers_random header_order_from_before_received content_type_missing
    received_client_is_senders received_names_sender received_authenticated received_encrypted
    message_id_host_in_received mailer_outlook_message_id_odd date_in_future date_long_ago from_freemail_not_received
    from_name_claims_brand from_name_claims_role from_name_claims_recipient from_domain_random from_user_random
    subject_names_address subject_spaced subject_short_greeting return_path_verp reply_to_another_freemail
    list_consistent newsletter_consistent
    """.split()
)
"""Unknown where there is no header block (SMS, bare texts)."""

_DYNAMIC_HOST = re.compile(
    r"(?:\d{1,3}[.\-_x]){3}\d{1,3}"
    r"|\b(?:dyn|dynamic|dial(?:up|in)?|dsl|adsl|xdsl|cable|ppp|pool|dhcp|client|cust|broadband|res)\d*[.\-]",
    re.I,
)
_RECEIVED_FROM = re.compile(r"^\s*from\s+(\S+)(?:\s+\(([^)]{0,300})\))?", re.I)
_RECEIVED_IP = re.compile(r"\[?(\d{1,3}(?:\.\d{1,3}){3})\]?")
_LOCAL_ORIGIN = re.compile(r".*localhost|\[(?:127|10|192\.168)\.", re.I)
_BULK_MAILER = re.compile(
    r"bulk|mass|group ?mail|the bat|direct|e-?merge|sender|blast|jixing|dynamailer|phpmailer|foxmail"
)
_FREE_MAILER = re.compile(
    r"mutt|pine|gnus|kmail|evolution|mozilla|thunderbird|exmh|vm |sylpheed|claws|mew|elm|ximian|wanderlust|emacs"
    r"|roundcube|squirrelmail|k-9|git-send-email"
)
_PHONE_MAILER = re.compile(r"iphone|ipad|android|blackberry|mobile")
_RANDOM_NAME = re.compile(r"x-[bcdfghjklmnpqrstvwxz]{6,}")
_PRIVATE_IP = re.compile(r"^(?:10|127|192\.168|172\.(?:1[6-9]|2\d|3[01])|169\.254)\.")
_OUTLOOK_ID = re.compile(
    r"^<?(?:[0-9a-f]{8,16}\$[0-9a-f]{8}\$[0-9a-f]{8}@|!&!|[0-9A-Z]{20,}@|[\w.+-]*@\S+\.prod\.)", re.I
)
_ROLE = re.compile(
    r"\b(?:support|security|service|services|team|admin(?:istrator)?|help ?desk|account|billing|notification|alert"
    r"|it|hr|payroll|mail ?server|postmaster|webmail|quarantine|customer|department|verification|no-?reply)\b",
    re.I,
)
_GREETING_SUBJECT = re.compile(
    r"\W*(?:hi|hello|hey|hallo|good (?:day|news|morning)|dear|greetings|urgent|attention|important)\b"
)
_SPACED_SUBJECT = re.compile(r"(?:\b\w[ .\-_*]){4,}\w\b")
_RANDOM = re.compile(r"[bcdfghjklmnpqrstvwxz]{5,}|\d[a-z]+\d[a-z]*\d|[a-z]\d[a-z]\d", re.I)
_AUTHENTICATED = clued(
    r"\besmtps?a\b|\bauthenticated\b|\(auth|\bsmtp auth", "esmtpa,esmtpsa,authenticated,(auth,smtp auth"
)
_DIGIT, _TWO_DIGITS, _SPACE = re.compile(r"\d"), re.compile(r"\d{2}"), re.compile(r"\s")
_BOUNCE = re.compile(r"bounce|=|-return-|owner-|sentto-")
_ZONE = re.compile(r"([+-])(\d{2})(\d{2})\b")
_ZONE_NAME = re.compile(r"\b(?:GMT|UTC?|[ECMP][SD]T)\b")
_REPLY = re.compile(r"(?:re|aw|sv|antw|回复|答复)\s*(?:\[\d+\])?[:：]", re.I)
_FORWARD = re.compile(r"(?:fwd?|wg|转发)\s*[:：]", re.I)
_TAG = re.compile(r"(?:re: *)?\[[^\]]{2,40}\]", re.I)
_TRAILING_ID = re.compile(r"(?<!\s)\s{3,}\S{3,}$|\s\[?[a-z]*\d+[a-z][a-z0-9]*\]?$")


def header_facts(headers: Headers) -> dict[str, bool]:
    """Facts of a mail's own header block. Reads listed fields only."""
    facts: dict[str, bool] = {}
    name, sender = address_of(headers.text("from"))
    user, _, domain = sender.partition("@")
    base = registered(domain)
    facts |= _received(headers, base, domain)
    facts |= _message_id(headers, base)
    facts |= _date(headers)
    raw_from = headers.first("from")
    several = headers.all("from")
    facts |= {
        "from_missing": raw_from is None,
        "from_several": len(several) > 1 or (raw_from or b"").count(b"@") > 3,
        "from_without_name": bool(sender) and not name,
        "from_name_holds_address": "@" in name and name.lower() != sender,
        "from_name_quoted": (raw_from or b"").lstrip().startswith(b'"'),
        "from_freemail": domain in FREEMAIL,
        "from_domain_has_digits": bool(_DIGIT.search(domain)),
        "from_user_has_digits": bool(_TWO_DIGITS.search(user)),
        "from_cheap_domain": domain.rpartition(".")[2] in CHEAP_TLD,
        "from_user_long": len(user) > 20,
        "from_name_is_user": bool(name) and name.lower() == user,
        "from_name_upper": len(name) > 4 and name.isupper(),
        "from_malformed": raw_from is not None and "." not in domain,
        "from_encoded": b"=?" in (raw_from or b""),
        "from_name_claims_brand": claims_brand(name, domain),
        "from_name_claims_role": bool(_ROLE.search(name)),
        "from_name_claims_recipient": _claims_recipient(name, domain, headers),
        "from_domain_random": bool(_RANDOM.search(base.partition(".")[0])),
        "from_user_random": bool(_RANDOM.search(user)),
    }
    _, reply_to = address_of(headers.text("reply-to"))
    _, return_path = address_of(headers.text("return-path"))
    reply_domain, return_domain = reply_to.partition("@")[2], return_path.partition("@")[2]
    facts |= {
        "reply_to_present": "reply-to" in headers,
        "reply_to_other_domain": bool(reply_domain) and registered(reply_domain) != base,
        "reply_to_freemail": reply_domain in FREEMAIL and domain not in FREEMAIL,
        "reply_to_same": bool(reply_to) and reply_to == sender,
        "return_path_other_domain": bool(return_domain) and registered(return_domain) != base,
        "return_path_null": (headers.first("return-path") or b"").strip() == b"<>",
        "return_path_same": bool(return_path) and return_path == sender,
        "return_path_verp": bool(_BOUNCE.search(return_path.partition("@")[0])),
        "reply_to_another_freemail": bool(reply_to) and reply_domain in FREEMAIL and reply_to != sender,
        "sender_field_present": "sender" in headers,
    }
    facts |= _recipients(headers, sender)
    facts |= _subject(headers)
    facts |= _lists_and_mailers(headers)
    facts["list_consistent"] = facts["list_id"] and facts["list_precedence"] and facts["return_path_verp"]
    facts["newsletter_consistent"] = facts["received_client_is_senders"] and (
        facts["message_id_host_is_senders"] or facts["return_path_verp"] or facts["list_unsubscribe"]
    )
    return facts


def _claims_recipient(name: str, domain: str, headers: Headers) -> bool:
    """The display name poses as the recipient's own organisation."""
    recipient = address_of(headers.text("to"))[1].partition("@")[2]
    company = registered(recipient).partition(".")[0]
    return len(company) > 3 and company in name.lower().replace(" ", "") and registered(domain) != registered(recipient)


def _received(headers: Headers, sender_base: str, sender_domain: str) -> dict[str, bool]:
    hops = [decode_words(value) for value in headers.all("received")[:30]]
    outside: tuple[str, str] | None = None  # the first hop, from the top, that took the mail from a public address
    for hop in hops:
        match = _RECEIVED_FROM.match(hop)
        if not match:
            continue
        address = _RECEIVED_IP.search(hop[match.start(1) :])
        if address and not _PRIVATE_IP.match(address.group(1)):
            outside = (match.group(1).strip("[]()"), match.group(2) or "")
            break
    origin = _RECEIVED_FROM.match(hops[-1]) if hops else None
    helo, verified = outside if outside else ("", "")
    verified_host = verified.split("[")[0].strip().split(" ")[-1].split("@")[-1].lower()
    joined = " ".join(hops).lower()
    message_host = decode_words(headers.first("message-id") or b"").strip(" <>").rpartition("@")[2]
    message_base = registered(message_host) if "." in message_host else ""
    return {
        "received_client_is_senders": bool(sender_base) and registered(verified_host or helo) == sender_base,
        "received_names_sender": bool(sender_base) and sender_base in joined,
        "received_authenticated": _AUTHENTICATED.found(joined),
        "received_encrypted": "esmtps" in joined or "tlsv" in joined or "version=tls" in joined,
        "message_id_host_in_received": bool(message_base) and message_base in joined,
        "from_freemail_not_received": sender_domain in FREEMAIL and bool(hops)
        and registered(sender_domain).partition(".")[0] not in joined,
        "received_none": not hops,
        "received_one": len(hops) == 1,
        "received_two": len(hops) == 2,
        "received_many": len(hops) >= 6,
        "received_dynamic_client": bool(_DYNAMIC_HOST.search(verified_host) or _DYNAMIC_HOST.search(helo)),
        "received_numeric_helo": bool(NUMERIC_HOST.match(helo)),
        "received_unverified_client": bool(outside) and ("unknown" in verified.lower() or "." not in verified_host),
        "received_helo_differs": bool(helo) and "." in verified_host and registered(helo) != registered(verified_host),
        "received_helo_bare_name": bool(helo) and "." not in helo,
        "received_by_webmail": " with http" in joined or "webmail" in joined or "squirrelmail" in joined,
        "received_local_origin": bool(origin and _LOCAL_ORIGIN.match(origin.group(1)))
        or "by uid" in joined or "userid" in joined or "invoked" in joined,
    }  # fmt: skip


def _message_id(headers: Headers, sender_base: str) -> dict[str, bool]:
    value = decode_words(headers.first("message-id") or b"").strip()
    local, at, host = value.strip("<>").rpartition("@")
    return {
        "message_id_missing": not value,
        "message_id_malformed": bool(value) and (not at or bool(_SPACE.search(value.strip("<>")))),
        "message_id_host_is_senders": bool(host) and registered(host) == sender_base,
        "message_id_host_numeric": bool(NUMERIC_HOST.match(host)),
        "message_id_host_bare": bool(host) and "." not in host,
        "message_id_has_dollar": "$" in local,
        "message_id_only_digits": local.isdigit(),
        "message_id_long": len(value) > 70,
        "message_id_angle_missing": bool(value) and not (value.startswith("<") and value.endswith(">")),
        "message_id_upper": len(local) > 6 and local.isupper(),
    }


def _date(headers: Headers) -> dict[str, bool]:
    value = decode_words(headers.first("date") or b"").strip()
    sent = _parse_date(value)
    arrived = None
    for hop in headers.all("received")[:5]:
        arrived = _parse_date(decode_words(hop).rpartition(";")[2])
        if arrived:
            break
    known = sent is not None and arrived is not None
    ahead = (sent - arrived).total_seconds() if sent is not None and arrived is not None else 0.0
    gap = abs(ahead)
    zone = _ZONE.search(value)
    return {
        "date_missing": not value,
        "date_malformed": bool(value) and sent is None,
        "date_without_zone": bool(value) and not zone and not _ZONE_NAME.search(value),
        "date_off_by_a_day": known and gap > 86_400,
        "date_in_future": known and ahead > 10_800,
        "date_long_ago": known and ahead < -4 * 86_400,
        "date_off_by_an_hour": known and 3_600 < gap <= 86_400,
        "date_zone_odd": bool(zone) and (int(zone.group(2)) > 14 or zone.group(3) not in ("00", "30", "45"))
        if zone
        else False,
        "date_weekday_missing": bool(value) and not value[:1].isalpha(),
    }


def _parse_date(value: str) -> datetime | None:
    try:
        parsed = parsedate_to_datetime(value.strip()[:100])
        return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    except Exception:  # ValueError, TypeError, IndexError, OverflowError on broken dates
        return None


def _recipients(headers: Headers, sender: str) -> dict[str, bool]:
    value = headers.text("to")
    name, address = address_of(value)
    count = value.count("@") + headers.text("cc").count("@")
    return {
        "to_missing": "to" not in headers,
        "to_undisclosed": "undisclosed" in value.lower(),
        "to_several": 1 < count <= 8,
        "to_many": count > 8,
        "to_is_sender": bool(sender) and address == sender,
        "to_without_name": bool(address) and not name,
        "to_named": bool(name) and name.lower() != address,
        "cc_present": "cc" in headers,
    }


def _subject(headers: Headers) -> dict[str, bool]:
    raw = headers.first("subject")
    subject = clean_subject(headers.text("subject"))
    letters = [c for c in subject if c.isalpha()]
    upper = sum(c.isupper() for c in letters)
    reply = bool(_REPLY.match(subject))
    referenced = "references" in headers or "in-reply-to" in headers
    to_user = address_of(headers.text("to"))[1].partition("@")[0]
    return {
        "subject_missing": raw is None,
        "subject_empty": raw is not None and not subject.strip(),
        "subject_reply": reply,
        "subject_reply_without_reference": reply and not referenced,
        "subject_reply_with_reference": reply and referenced,
        "subject_forward": bool(_FORWARD.match(subject)),
        "subject_upper": len(letters) > 5 and upper == len(letters),
        "subject_mostly_upper": len(letters) > 8 and upper > 0.5 * len(letters),
        "subject_exclaims": "!" in subject,
        "subject_asks": "?" in subject,
        "subject_money": MONEY.begun(lowered(subject)) or "$$" in subject,
        "subject_encoded": b"=?" in (raw or b""),
        "subject_raw_8bit": not (raw or b"").isascii(),
        "subject_trailing_id": bool(_TRAILING_ID.search(subject)),
        "subject_tag": bool(_TAG.match(subject)),
        "subject_long": len(subject) > 80,
        "subject_starts_lower": bool(subject) and subject[0].islower(),
        "subject_names_recipient": len(to_user) > 3 and to_user in subject.lower(),
        "subject_names_address": "@" in subject and "." in subject.partition("@")[2],
        "subject_spaced": bool(_SPACED_SUBJECT.search(subject[:200])),
        "subject_short_greeting": len(subject) < 25 and bool(_GREETING_SUBJECT.match(subject.lower())),
    }


def _lists_and_mailers(headers: Headers) -> dict[str, bool]:
    mailer = headers.text("x-mailer").lower()
    agent = headers.text("user-agent").lower()
    precedence = headers.text("precedence").lower().strip()
    is_list = "list-id" in headers or "list-post" in headers
    names = [name for name, _ in headers.fields]
    extension = [name for name in names if name.startswith("x-")]
    program = f"{mailer} {agent}"
    outlook = "outlook" in mailer
    return {
        "references_present": "references" in headers,
        "in_reply_to_present": "in-reply-to" in headers,
        "list_id": "list-id" in headers,
        "list_unsubscribe": "list-unsubscribe" in headers,
        "list_unsubscribe_only": "list-unsubscribe" in headers and not is_list,
        "list_post": "list-post" in headers,
        "list_precedence": precedence in ("list", "bulk", "junk"),
        "errors_to": "errors-to" in headers,
        "mailer_present": "x-mailer" in headers,
        "user_agent_present": "user-agent" in headers,
        "mailer_outlook": outlook,
        # Outlook always writes X-MimeOLE or Thread-Index; those who only claim to be Outlook forget
        "mailer_outlook_forged": outlook and not ("x-mimeole" in headers or "thread-index" in headers),
        "mailer_outlook_message_id_odd": outlook
        and not _OUTLOOK_ID.match(decode_words(headers.first("message-id") or b"").strip()),
        "mailer_outlook_express": "outlook express" in mailer,
        "mailer_bulk": bool(_BULK_MAILER.search(mailer)),
        "mailer_free_software": bool(_FREE_MAILER.search(program)),
        "mailer_phone": bool(_PHONE_MAILER.search(program)),
        "mailer_short_word": 0 < len(mailer) < 12,
        "thread_index": "thread-index" in headers or "thread-topic" in headers,
        "priority_high": headers.text("x-priority").strip()[:1] in ("1", "2")
        or "high" in headers.text("x-msmail-priority").lower(),
        "importance_present": "importance" in headers,
        "organization_present": "organization" in headers or "organisation" in headers,
        "mime_version_missing": "mime-version" not in headers and "content-type" in headers,
        "mime_version_odd_spelling": "mime-version" in headers and headers.text("mime-version").strip() != "1.0",
        # present, not what they say: a verdict of another host is not ours to trust
        "received_spf_present": "received-spf" in headers,
        "dkim_present": "dkim-signature" in headers or "domainkey-signature" in headers,
        "x_headers_many": len(extension) > 12,
        "x_headers_random": any(map(_RANDOM_NAME.fullmatch, extension)),
        "header_order_from_before_received": {"received", "from"} <= set(names)
        and names.index("from") < names.index("received"),
        "content_type_missing": "content-type" not in headers,
    }  # fmt: skip


_SUBJECT_TAG = re.compile(
    r"^\s*(?:(?:re|fwd?)\s*:\s*)?[\[{(*]+\s*(?:possible |probable |suspected )?"
    r"(?:spam|bulk|junk)\b[^\]})*]{0,20}[\]})*]+[:\s]*"
    r"|(?<!\*)\*{3,}\s*spam\s*\*{3,}",
    re.I,
)


def clean_subject(subject: str) -> str:
    """The subject without tags that other filters put there: they would leak the label."""
    return _SUBJECT_TAG.sub("", subject)
