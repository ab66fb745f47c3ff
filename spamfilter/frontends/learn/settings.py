"""The function that both ways in call, which failures pass, and the names that folders go by."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from spamfilter.correction import Provenance
from spamfilter.learning import Learned
from spamfilter.message import Message
from spamfilter.verdict import Failure, FailureKind, Label

Learn = Callable[[Message, Label | None, Provenance], Awaitable[Learned | Failure]]
"""Records a correction; the composition root gives it. What it raises is taken for trouble that passes."""

PASSING = frozenset({FailureKind.TIMEOUT, FailureKind.OVERLOAD, FailureKind.ENGINE_DOWN})
"""Failures that are not the message's own: it is tried again."""

JUNK = (
    *("Junk", "Spam", "Junk E-mail", "Junk Email", "Junk Mail", "Bulk", "Bulk Mail", "Spamverdacht", "Unerwünscht"),
    *("Courrier indésirable", "Indésirables", "Pourriel", "Correo no deseado", "Posta indesiderata"),
    *("Ongewenste e-mail", "Lixo eletrônico", "Skräppost", "Søppelpost", "Uønsket e-post", "Uønsket mail"),
    *("Roskaposti", "Wiadomości-śmieci", "Nevyžádaná pošta", "Levélszemét", "Спам", "Нежелательная почта"),
    *("迷惑メール", "垃圾邮件", "垃圾郵件", "스팸"),
)
"""Common names of the folder for spam."""
IGNORED = (
    *("Trash", "Deleted", "Deleted Items", "Deleted Messages", "Bin", "Papierkorb", "Gelöscht", "Gelöschte Elemente"),
    *("Gelöschte Objekte", "Corbeille", "Éléments supprimés", "Papelera", "Elementos eliminados", "Cestino"),
    *("Posta eliminata", "Prullenbak", "Verwijderde items", "Lixeira", "Itens excluídos", "Papperskorg"),
    *("Papirkurv", "Roskakori", "Kosz", "Koš", "Корзина", "Удаленные", "ごみ箱", "已删除", "휴지통"),
    *("Drafts", "Draft", "Entwürfe", "Brouillons", "Borradores", "Bozze", "Concepten", "Rascunhos", "Utkast"),
    *("Kladder", "Luonnokset", "Szkice", "Koncepty", "Черновики", "下書き", "草稿", "Templates", "Vorlagen"),
    *("Sent", "Sent Items", "Sent Messages", "Sent Mail", "Gesendet", "Gesendete Elemente", "Gesendete Objekte"),
    *("Envoyés", "Messages envoyés", "Éléments envoyés", "Enviados", "Elementos enviados", "Posta inviata"),
    *("Inviata", "Verzonden", "Verzonden items", "Itens enviados", "Skickat", "Sendt", "Lähetetyt", "Wysłane"),
    *("Odeslaná pošta", "Отправленные", "送信済み", "已发送", "Outbox", "Postausgang", "Expunged"),
)
"""Common names of folders that say nothing: Trash, Drafts, Sent, and what plugins put mail aside in."""
