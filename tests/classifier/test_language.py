"""Languages: those that are named, and what is not told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spamfilter.classifier.language import OTHER, READ_CHARACTERS, language

TEXTS = {
    "en": "Thank you for your order. We have received it and it will be shipped on Monday.",
    "de": "Vielen Dank für Ihre Bestellung. Die Ware wird nicht vor Montag von uns verschickt und ist bezahlt.",
    "fr": "Merci pour votre commande. Elle est dans notre entrepôt et sera expédiée avec les autres.",
    "es": "Gracias por su pedido. El paquete está listo para el envío y los datos del cliente están completos.",
    "it": "Grazie per il suo ordine. La merce è pronta e non sono previsti ritardi nella consegna dei pacchi.",
    "pt": "Obrigado pela sua compra. O pacote não está pronto, mas os dados do cliente já foram enviados para você.",
    "nl": "Bedankt voor uw bestelling. Wij hebben het pakket van de bezorger en het wordt niet later dan maandag.",
    "pl": "Dziękujemy za zamówienie. Paczka jest już w drodze, nie ma opóźnień i może się to zmienić przez święta.",
    "sv": "Tack för din beställning. Det är inte klart när paketet har kommit till oss och vi hör av oss.",
    "da": "Tak for din bestilling. Det er ikke klart, om pakken er kommet til os fra lageret, og vi skriver igen.",
    "tr": "Siparişiniz için teşekkürler. Paket çok daha sonra gelecek ve bir sorun olarak görülmüyor.",
    "ru": "Спасибо за ваш заказ, мы отправим его на следующей неделе.",
    "uk": "Дякуємо за ваше замовлення, ми надішлемо його наступного тижня.",
    "zh": "感谢您的订单，我们将于下周发货。",
    "ja": "ご注文ありがとうございます。来週発送いたします。",
    "ko": "주문해 주셔서 감사합니다. 다음 주에 발송하겠습니다.",
    "el": "Ευχαριστούμε για την παραγγελία σας.",
    "he": "תודה על ההזמנה שלך, נשלח אותה בשבוע הבא.",
    "ar": "شكرا لطلبك، سنرسله الأسبوع المقبل.",
    "fa": "از سفارش شما متشکریم، هفته آینده پست می‌کنیم.",
    "th": "ขอบคุณสำหรับคำสั่งซื้อของคุณ",
    "hi": "आपके ऑर्डर के लिए धन्यवाद",
}


@pytest.mark.parametrize("code", TEXTS)
def test_a_sentence_or_two_suffice(code: str) -> None:
    assert language(TEXTS[code]) == code


def test_a_foreign_script_outweighs_latin_names_around_it() -> None:
    assert language(f"PayPal iPhone 15 Pro Max {TEXTS['zh']} www.example.org Visa") == "zh"
    assert language(f"{TEXTS['en']} {TEXTS['en']} 您好") == "en"


@pytest.mark.parametrize("text", ["", "12:30 42 %", "https://the.and.of/to/is?you=for", "xyzzy plugh", "ok", "\ud800"])
def test_what_is_not_told_is_other(text: str) -> None:
    assert language(text) == OTHER


def test_only_the_beginning_is_read() -> None:
    assert language(TEXTS["en"] + " " * READ_CHARACTERS + TEXTS["zh"] * 1000) == "en"


@given(st.text(max_size=300))
def test_any_text_has_an_answer(text: str) -> None:
    assert 2 <= len(language(text)) <= 5
