"""What each fact says, in a sentence for people: explanations, reports and pages show these instead of names."""

from __future__ import annotations

_SENTENCES = """
received_none: It has no Received header: no server noted where it came from.
received_one: It came over one server only.
received_two: It came over two servers.
received_many: It came over six servers or more.
received_dynamic_client: It was sent from a dial-up or home connection.
received_numeric_helo: The sending server called itself by a bare IP address.
received_unverified_client: The sending server's name could not be verified.
received_helo_differs: The sending server called itself by another domain than it has.
received_helo_bare_name: The sending server called itself by a name without a domain.
received_by_webmail: It was written in webmail.
received_local_origin: It was written on a machine of the sender's own network.
received_client_is_senders: It came from a server of the sender's own domain.
received_names_sender: The sender's domain appears among the servers it came over.
received_authenticated: The sender logged in to the server that sent it.
received_encrypted: It was sent over an encrypted connection.
message_id_missing: It has no Message-ID.
message_id_malformed: Its Message-ID is malformed.
message_id_host_is_senders: Its Message-ID is of the sender's domain.
message_id_host_numeric: Its Message-ID names an IP address.
message_id_host_bare: Its Message-ID names a machine without a domain.
message_id_has_dollar: Its Message-ID has a dollar sign.
message_id_only_digits: Its Message-ID is of digits only.
message_id_long: Its Message-ID is unusually long.
message_id_angle_missing: Its Message-ID lacks the angle brackets.
message_id_upper: Its Message-ID is in capitals.
message_id_host_in_received: The host in its Message-ID is among the servers it came over.
date_missing: It has no date.
date_malformed: Its date cannot be read.
date_without_zone: Its date names no time zone.
date_off_by_a_day: Its date is more than a day from its arrival.
date_off_by_an_hour: Its date is more than an hour from its arrival.
date_in_future: Its date lies in the future of its arrival.
date_long_ago: Its date lies days before its arrival.
date_zone_odd: Its date names a time zone that does not exist.
date_weekday_missing: Its date names no weekday.
from_missing: It names no sender.
from_several: It names several senders.
from_without_name: The sender gives an address but no name.
from_name_holds_address: The sender's name poses as another address.
from_name_quoted: The sender's name stands in quotes.
from_freemail: The sender uses a free mail provider.
from_freemail_not_received: The sender claims a free mail provider that the mail did not come from.
from_domain_has_digits: The sender's domain has digits.
from_domain_random: The sender's domain looks random.
from_user_has_digits: The sender's mailbox has digits.
from_user_long: The sender's mailbox has a long name.
from_user_random: The sender's mailbox looks random.
from_cheap_domain: The sender's domain is of a kind that costs next to nothing.
from_name_is_user: The sender's name is that of the mailbox.
from_name_upper: The sender's name is in capitals.
from_name_claims_brand: The sender's name claims a brand that the address is not of.
from_name_claims_role: The sender's name claims an office, such as support or security.
from_name_claims_recipient: The sender's name poses as the recipient's own organisation.
from_malformed: The sender's address is malformed.
from_encoded: The sender's name is encoded.
reply_to_present: It asks for replies to a named address.
reply_to_other_domain: Replies go to another domain than the sender's.
reply_to_freemail: Replies go to a free mail provider, though the sender has a domain.
reply_to_another_freemail: Replies go to another mailbox at a free mail provider.
reply_to_same: Replies go to the sender.
return_path_other_domain: Bounces go to another domain than the sender's.
return_path_null: Bounces go nowhere, as those of automatic mail.
return_path_same: Bounces go to the sender.
return_path_verp: Bounces go to an address made for this recipient, as mailing lists do.
sender_field_present: It names who sent it for the author.
to_missing: It names no recipient.
to_undisclosed: Its recipients are undisclosed.
to_several: It has several recipients.
to_many: It has many recipients.
to_is_sender: It is addressed to its own sender.
to_without_name: It gives the recipient's address but no name.
to_named: It names the recipient.
cc_present: It has recipients of copies.
subject_missing: It has no subject.
subject_empty: Its subject is empty.
subject_reply: Its subject says that it is a reply.
subject_reply_without_reference: It calls itself a reply and refers to no message.
subject_reply_with_reference: It is a reply that names the message it answers.
subject_forward: Its subject says that it is forwarded.
subject_upper: Its subject is all in capitals.
subject_mostly_upper: Its subject is mostly in capitals.
subject_exclaims: Its subject has an exclamation mark.
subject_asks: Its subject has a question mark.
subject_money: Its subject names money.
subject_encoded: Its subject is encoded.
subject_raw_8bit: Its subject has characters that were not encoded.
subject_trailing_id: Its subject ends in a random code.
subject_tag: Its subject begins with a tag in brackets, as mailing lists do.
subject_long: Its subject is long.
subject_starts_lower: Its subject begins with a small letter.
subject_names_recipient: Its subject holds the recipient's mailbox.
subject_names_address: Its subject holds a mail address.
subject_spaced: Its subject has letters that stand apart.
subject_short_greeting: Its subject is but a greeting.
references_present: It refers to earlier messages.
in_reply_to_present: It names the message it answers.
list_id: It comes from a mailing list that names itself.
list_unsubscribe: It names a way to unsubscribe in its headers.
list_unsubscribe_only: It names a way to unsubscribe but no list.
list_post: It comes from a mailing list that one can write to.
list_precedence: It says that it is list or bulk mail.
list_consistent: Everything about it fits a mailing list.
newsletter_consistent: It fits a newsletter that its sender's own servers sent.
errors_to: It names an address for errors.
mailer_present: It names the program that wrote it.
user_agent_present: It names its mail program in the way of free software.
mailer_outlook: It says that Outlook wrote it.
mailer_outlook_forged: It says that Outlook wrote it, but lacks what Outlook writes.
mailer_outlook_message_id_odd: It says that Outlook wrote it, but its Message-ID is not Outlook's.
mailer_outlook_express: It says that Outlook Express wrote it.
mailer_bulk: It was written by a program for mass mail.
mailer_free_software: It was written by a mail program that is free software.
mailer_phone: It was written on a phone.
mailer_short_word: Its mail program has a name of one short word.
thread_index: It has Outlook's mark of a conversation.
priority_high: It claims high priority.
importance_present: It claims an importance.
organization_present: It names the sender's organisation.
mime_version_missing: It lacks the MIME version that its content needs.
mime_version_odd_spelling: Its MIME version is spelt oddly.
received_spf_present: A server checked whether its sender may send for the domain.
dkim_present: It carries a domain's signature.
x_headers_many: It has many private headers.
x_headers_random: It has a private header with a random name.
header_order_from_before_received: Its headers stand in an unusual order.
content_type_missing: It does not say what its content is.
text_only: It is plain text.
html_only: It is a web page without a plain text beside it.
alternative: It has its text in two forms.
alternative_text_empty: Its plain text is empty beside the web page.
alternative_differs: Its plain text says something else than the web page.
related: It carries what its web page shows.
mixed: It has several parts.
has_attachment: It has an attachment.
attachment_executable: A program is attached.
attachment_archive: An archive is attached.
attachment_document: A document is attached.
attachment_name_two_types: An attachment's name hides its type behind another.
attachment_page: A web page is attached.
image_only_text: It shows pictures and hardly a word.
has_image_part: It carries a picture.
has_calendar: It carries an invitation for the calendar.
signed: It is signed by its author.
boundary_outlook: Its parts are divided in the way of Outlook.
boundary_odd: Its parts are divided by an odd mark.
boundary_plain_digits: Its parts are divided by a number.
charset_missing: Its text does not name its character set.
charset_utf8: Its text is in UTF-8.
charset_western: Its text is in a Western character set.
charset_chinese: Its text is in a Chinese character set.
charset_korean_japanese: Its text is in a Korean or Japanese character set.
charset_cyrillic_turkish: Its text is in a Cyrillic or Turkish character set.
charset_unknown: Its text is in a character set that nobody knows.
body_8bit_undeclared: Its text has characters of a set that it does not name.
base64_text: Its text is encoded as if it were a file.
quoted_printable_text: Its text is encoded as quoted-printable.
mime_broken: Its structure is broken.
mime_cut: It has more parts than were read.
html_hidden_some: Its web page hides some text.
html_hidden_much: Its web page hides much text.
html_split_words: Its web page has words that markup splits.
html_ratio_low: Its web page is mostly markup.
html_ratio_tiny: Its web page is nearly all markup.
html_images_some: Its web page shows a picture.
html_images_many: Its web page shows many pictures.
html_form: Its web page has a form to fill in.
html_script: Its web page has a script.
html_iframe: Its web page frames another page.
html_table: Its web page has a table.
html_font: Its web page sets fonts in the old way.
html_title: Its web page has a title.
html_tiny: Its web page is tiny.
html_centered: Its web page is centred in the old way.
html_style_block: Its web page has a style sheet.
html_meta: Its web page describes itself.
link_any: It has a link.
link_many: It has many links.
link_host_numeric: A link goes to a bare IP address.
link_host_cheap: A link goes to a domain of a kind that costs next to nothing.
link_host_shortener: A link goes over a shortener, which hides where it leads.
link_host_differs_from_text: A link shows one address and leads to another.
link_userinfo: A link hides its host behind a user name.
link_port: A link names a port.
link_many_hosts: Its links go to many domains.
link_one_host: All its links go to one domain.
link_host_is_senders: A link goes to the sender's own domain.
link_none_is_senders: No link goes to the sender's own domain.
link_long: It has a very long link.
link_mailto: It has a link to write a mail.
link_encoded: A link hides its host in an encoding.
link_http_only: No link is encrypted.
link_text_is_image: A picture is a link.
link_host_free_hosting: A link goes to free web space.
link_holds_address: A link holds a mail address.
link_host_many_labels: A link goes to a host with many parts.
link_host_digits: A link goes to a domain with digits.
link_host_punycode: A link goes to a domain in foreign letters.
link_host_hyphens: A link goes to a domain with hyphens.
link_claims_brand: A link claims a brand that its domain is not of.
link_wants_login: A link leads to a login or a confirmation.
link_script_or_data: A link runs a script instead of opening a page.
link_file_program: A link leads to a program or an archive.
link_token_long: A link carries a long code.
text_empty: It has no text.
text_short: Its text is short.
text_long: Its text is long.
text_upper_much: Much of its text is in capitals.
text_upper_words: It has several words in capitals.
text_exclaims_many: It has many exclamation marks.
text_money: It names sums of money.
text_greeting_generic: It greets nobody in particular, such as a valued customer.
text_unsubscribe: It says how to unsubscribe.
text_click: It says where to click.
text_urgent: It presses for haste.
text_credentials: It speaks of passwords, accounts and verification.
text_quoted: It quotes an earlier message.
text_signature: It ends with a signature.
text_attribution: It says who wrote what it quotes.
text_code: It holds program code.
text_phone: It holds a telephone number.
text_invisible: It has invisible characters within words.
text_look_alikes: It has letters that only look like those they stand for.
text_spaced_words: It has words whose letters stand apart.
text_long_words: It has very long words.
text_foreign_script: It is largely in another script than Latin.
text_chinese: It is in Chinese.
text_cyrillic: It is in Cyrillic.
text_digits_many: It has many digits.
text_one_line: It is of one line.
text_wrapped_72: Its lines are wrapped at about 72 characters.
topic_medicine: It speaks of medicines, as sellers without a prescription do.
topic_adult: It speaks of sex.
topic_loan: It speaks of loans and debts.
topic_prize: It speaks of a prize.
topic_advance_fee: It speaks of a fortune that waits to be transferred.
topic_stock_tip: It recommends a stock.
topic_replica: It speaks of replicas of luxury goods.
topic_degree: It sells degrees.
topic_cheap_software: It sells cheap software.
topic_work_at_home: It promises income from home.
topic_gambling: It speaks of gambling.
topic_weight_loss: It speaks of losing weight.
topic_bulk_marketing: It sells marketing, addresses or what mass mail used to sell.
topic_account_threat: It says that an account is at risk.
topic_mailbox_threat: It says that a mailbox or a password is at risk.
topic_parcel: It speaks of a parcel that waits.
topic_shared_document: It speaks of a document that was shared.
topic_invoice: It speaks of an invoice or a payment.
topic_crypto: It speaks of cryptocurrency.
topic_extortion: It blackmails.
topic_phone_prize: It speaks of prizes and charges by telephone or text message.
topic_refund: It promises a refund.
topic_survey_reward: It promises a reward for a survey.
topic_removal_law: It tells how to be taken off a list, or that it is no spam.
topic_brand: It names a bank or a brand that is often impersonated.
topic_urgency: It presses to act now.
topic_sales: It praises an offer.
topic_greeting: It greets as letters to strangers do.
topic_several: It names several topics of spam.
"""

SENTENCES: dict[str, str] = {
    name: sentence for name, _, sentence in (line.partition(": ") for line in _SENTENCES.strip().splitlines())
}
"""Name -> sentence, for each of `facts.NAMES`."""
