"""Facts about what a message wants of its reader, by phrases that rule sets have long looked for.

Word statistics learn the topics of their own mailbox; these carry over because they name the trick, not the campaign.
Phrases are of up to three words and are looked up among the text's own, small words left out ("your account has been
suspended" is `account suspended`): the cost is that of splitting the text, however many phrases there are.
"""

from __future__ import annotations

import re
from itertools import accumulate

_PHRASES: dict[str, str] = {
    "medicine": """
        viagra, cialis, levitra, valium, xanax, phentermine, vicodin, tramadol, ambien, soma, pharmacy, online
        pharmacy, canadian pharmacy, prescription drugs, prescription medication, without prescription, no
        prescription, generic drugs, erection, erectile, erectile dysfunction, human growth hormone, hgh, penis,
        penis enlargement, male enhancement, cheap meds, pills, herbal, 伟哥
    """,
    "adult": """
        porn, porno, pornographic, xxx, horny, naked, nude, nudes, sluts, slut, adult site, adult content, adult
        dating, adult friend, hot girls, hot singles, hot babes, sexy, sex, webcam, live girls, lesbian,
        hardcore, cum, milf, dating site, single women, lonely
    """,
    "loan": """
        mortgage, mortgage rates, refinance, refinancing, debt, debt free, debt consolidation, consolidate debt,
        credit repair, bad credit, credit history, pre approved, preapproved, payday, cash advance, homeowner,
        homeowners, loan, loan offer, loan approved, personal loan, life insurance, insurance quote, lowest
        rates, low rates, interest rates, unsecured loan
    """,
    "prize": """
        winner, lottery, jackpot, won prize, you won, prize, claim prize, claim reward, claim gift, claim money,
        sweepstakes, gift card, gift cards, free gift, free vacation, free trip, free iphone, free ipod, free
        laptop, free cruise, lucky winner, congratulations won, selected winner, 中奖
    """,
    "advance_fee": """
        next kin, beneficiary, beneficiaries, fund transfer, transfer funds, transfer sum, transfer money,
        foreign partner, million us dollars, million united states, million dollars, bank nigeria, central bank,
        nigeria, nigerian, deceased, late husband, confidential business, confidential transaction, business
        proposal, inheritance, barrister, unclaimed, compensation fund, cote d ivoire, west africa,
        humanitarian, widow, diplomat, dear beloved, beloved, consignment
    """,
    "stock_tip": """
        otc, otcbb, pink sheets, stock alert, stock pick, hot stock, penny stock, penny stocks, strong buy,
        target price, price target, short term target, this stock, trading alert, stock watch, current price,
        investor alert, small cap
    """,
    "replica": """
        replica, replicas, rolex, luxury watch, luxury watches, designer watches, designer bags, designer
        handbags, louis vuitton, cartier, breitling, fake watches, swiss watches
    """,
    "degree": """
        university diploma, university degree, college degree, college diploma, diploma, diplomas, life
        experience, no exams, no classes, bachelor masters, prestigious unaccredited, non accredited,
        nonaccredited, 发票
    """,
    "cheap_software": """
        oem software, oem, cheap software, software low price, adobe photoshop, adobe acrobat, downloadable
        software, office xp, windows xp professional, original software, discount software, software titles
    """,
    "work_at_home": """
        work home, work from home, working home, home based business, home business, own boss, extra income,
        mlm, financial freedom, financially independent, make money, earn money, earn up, residual income, get
        paid, getting paid, mystery shopper, no experience necessary, no experience required, multi level,
        network marketing, per week, money fast, passive income, business opportunity
    """,
    "gambling": """
        casino, casinos, poker, blackjack, roulette, slot machines, slots, betting, sportsbook, free chips,
        sports betting, bets, 博彩
    """,
    "weight_loss": """
        lose weight, weight loss, losing weight, shed pounds, lose pounds, diet pill, diet pills, keto, burn
        fat, fat burner, fat burning, hoodia, acai, body fat
    """,
    "bulk_marketing": """
        bulk email, mass email, bulk mail, email addresses, million email, email marketing, email lists, email
        list, targeted email, search engine ranking, search engine placement, search engine optimization, search
        engines, more traffic, website traffic, seo, first page google, toner, ink cartridges, satellite tv,
        cable descrambler, extended warranty, warranty expire, web design services, b2b
    """,
    "account_threat": """
        account suspended, account limited, account locked, account blocked, account restricted, account
        deactivated, account closed, account terminated, account temporarily, account hold, suspend account,
        limit account, unusual activity, unusual sign, unusual login, unusual login attempt, verify account,
        confirm account, update account, validate account, verify identity, confirm identity, verify
        information, confirm information, update information, update billing, update payment, update payment
        method, verify email, confirm details, account information, suspicious activity, suspicious login,
        unauthorized access, unauthorized login, unauthorized transaction, unauthorised, security alert,
        security notice, account verification, billing information, dear customer, valued customer, dear user,
        dear client, avoid suspension, avoid interruption, access limited, restore access, account access
    """,
    "mailbox_threat": """
        mailbox full, mailbox almost full, mailbox quota, mailbox storage, mailbox size, mailbox exceeded,
        mailbox, storage full, storage limit, storage quota, quota exceeded, quota limit, password expire,
        password expires, password expired, password expiration, password due, keep password, keep same
        password, keep current password, revalidate, re validate, pending messages, pending emails, pending
        mails, undelivered messages, undelivered emails, incoming messages, incoming mails, held messages,
        quarantined messages, release messages, upgrade mailbox, upgrade account, upgrade email, help desk,
        helpdesk, it support, it department, webmail, mail server error, messages not delivered, email
        deactivation, email account, deactivation request, mail administrator, email administrator
    """,
    "parcel": """
        parcel, package delivery, package could not, package pending, package waiting, delivery failed, delivery
        attempt, failed delivery, delivery failure, missed delivery, shipment pending, shipment held, shipping
        fee, customs fee, customs duty, delivery fee, redelivery, reschedule delivery, dhl, dhl express, fedex,
        usps, dpd, hermes, royal mail, track package, track shipment, shipping documents, delivery address,
        incomplete address, shipment arrived
    """,
    "shared_document": """
        shared file, shared document, shared folder, document shared, file shared, sent document, sent file,
        docusign, adobe sign, sharepoint, onedrive, wetransfer, dropbox, hellosign, review sign, review
        document, view document, view file, view documents, open document, voice message, voicemail, missed
        call, new voicemail, new fax, received fax, efax, secure document, encrypted message, secure message,
        download files, sign document
    """,
    "invoice": """
        attached invoice, invoice attached, invoice overdue, overdue invoice, overdue payment, outstanding
        invoice, invoice due, payment advice, remittance, remittance advice, purchase order, wire transfer,
        swift copy, bank slip, proforma, proforma invoice, payment confirmation, attached payment, attached
        quotation, request quotation, attached receipt, payment slip, payment copy, new order, payment overdue
    """,
    "crypto": """
        bitcoin, bitcoins, btc, crypto, cryptocurrency, ethereum, eth, metamask, trust wallet, trustwallet,
        coinbase, binance, ledger, ledger live, seed phrase, recovery phrase, secret phrase, verify wallet,
        connect wallet, wallet verification, wallet suspended, wallet address, airdrop, usdt, blockchain, nft
    """,
    "extortion": """
        recorded you, filmed you, video you, hacked device, infected device, hacked account, device compromised,
        know password, pervert, masturbating, masturbate, 48 hours, 72 hours, transfer bitcoin, bitcoin wallet,
        malware, trojan, intimate video
    """,
    "phone_prize": """
        txt stop, text stop, txt now, txt win, 150p, 150ppm, 10p, per min, ringtone, ringtones, polyphonic, ring
        tone, customer service rep, prize guaranteed, guaranteed prize, po box, pobox, t&c, t&cs, t&c's, sae,
        std txt, txt rate, 16+, 18+, claim code, valid 12hrs, land line, landline, cash prize, awarded, entered
        draw, unsub, mobile content, free msg, freemsg
    """,
    "refund": """
        tax refund, refund amount, refund available, refund pending, claim refund, refund notification, entitled
        refund, hmrc, irs, rebate, stimulus, grant funds, government grant, government grants, tax return refund
    """,
    "survey_reward": """
        complete survey, short survey, quick survey, take survey, survey reward, answer survey, loyalty reward,
        loyalty program, exclusive reward, reward points, chosen participate, selected participate, walmart
        gift, costco reward, earn rewards
    """,
    "removal_law": """
        s 1618, s1618, title iii, section 301, bill s, cannot considered spam, not spam, one time mailing, one
        time offer, removed future, removed mailing, removed list, remove subject, reply remove, word remove,
        opt list, removed from, opt out, future mailings, further mailings, no longer wish receive, remove me,
        removal instructions, be removed
    """,
    "brand": """
        paypal, ebay, apple id, icloud, microsoft account, microsoft 365, office 365, office365, wells fargo,
        chase, citibank, bank america, hsbc, barclays, santander, american express, amex, mastercard, netflix,
        instagram support, at&t, xfinity, norton, mcafee, geek squad, usaa, lloyds, natwest, regions bank,
        suntrust, washington mutual, amazon prime, amazon account
    """,
    "urgency": """
        act now, act immediately, limited time, limited offer, offer expires, expires today, expires soon, last
        chance, final notice, final warning, final reminder, immediate action, action required, urgent action,
        urgent response, within 24 hours, within 48 hours, 24 hours, hurry, immediately, as soon possible, don't
        miss, order now, call now, buy now, click now, today only, while supplies last, supplies limited,
        respond immediately, important notice, immediate attention
    """,
    "sales": """
        risk free, 100 free, absolutely free, free trial, free sample, free shipping, money back, money back
        guarantee, satisfaction guaranteed, no obligation, no cost, no fees, special offer, special promotion,
        lowest price, best price, best prices, save up, save 50, save 70, save 80, discount, order today, order
        online, credit card required, free quote, no credit card, 100 guaranteed, satisfaction, cheap, bargain,
        unlimited, amazing, incredible, exclusive offer, unbeatable
    """,
    "greeting": """
        dear friend, dear sir, dear madam, dear sir madam, dear sirs, dear winner, dear valued, dear account,
        dear member, dear email user, dear email owner, dear homeowner, dear customer, dear beneficiary,
        attention, attn, hello dear, hi dear, my dear, dear webmail, greetings you, good day, dear subscriber,
        dear recipient
    """,
}  # fmt: skip
TOPIC_FACTS: tuple[str, ...] = (*(f"topic_{name}" for name in _PHRASES), "topic_several")
"""Always known."""

READ_CHARACTERS = 6_000
END_CHARACTERS = 2_000
_SMALL = frozenset(
    """
    a an the is was are were be been being has have had will would your our my their of to for in on at by and or with
    that it its we you i
    """.split()
)
_WORD = re.compile(r"[a-z0-9][a-z0-9&+']*|[^\x00-\xff]")
_APART = bytes(n if _WORD.match(chr(n)) or chr(n) in "&+'" else 32 for n in range(256))
_WITHIN_WORDS = (b" &", b" +", b" '")
_TOPICS: dict[str, list[str]] = {}
for _name, _listed in _PHRASES.items():
    for _phrase in _listed.split(","):
        _kept = " ".join(word for word in _phrase.split() if word not in _SMALL)
        _kept = _kept if _kept.isascii() else " ".join(_kept)  # Han is read a character at a time
        _TOPICS.setdefault(_kept, []).append(f"topic_{_name}")


_OPENERS = frozenset(phrase.split(" ", 1)[0] for phrase in _TOPICS)
_MOST_WORDS = 3


def topic_facts(text: str, subject: str = "") -> dict[str, bool]:
    """Which topics the subject, the beginning and the end of a folded text name."""
    end = text[max(READ_CHARACTERS, len(text) - END_CHARACTERS) :]
    read = f"{subject}\n{text[:READ_CHARACTERS]}\n{end}".lower()
    words = [word for word in _words(read) if word not in _SMALL]
    phrases: set[str] = set()
    for at in [at for at, word in enumerate(words) if word in _OPENERS]:  # few words begin a phrase
        phrases.update(accumulate(words[at : at + _MOST_WORDS], "{} {}".format))
    named = {topic for phrase in _TOPICS.keys() & phrases for topic in _TOPICS[phrase]}
    facts = {name: name in named for name in TOPIC_FACTS}
    facts["topic_several"] = len(named) > 3
    return facts


def _words(text: str) -> list[str]:
    """What `_WORD` finds; ASCII is split at blanks, in half the time."""
    if text.isascii():
        apart = b" " + text.encode().translate(_APART)
        for sign in _WITHIN_WORDS:  # where no word begins
            apart = apart.replace(sign, b" ")
        if not any(sign in apart for sign in _WITHIN_WORDS):
            return apart.decode().split()
    return _WORD.findall(text)
