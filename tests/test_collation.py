"""The order of names in each language: by CLDR, total, and root's where nothing is its own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal import collation
from portal.documents.names import KEY_BREAK, sort_key

#: The letters of each language where they are not where the alphabet of English has them, and
#: what stands around them.
IN_ORDER = {
    "bs": "cz č ć ćz d dz dž đ e lz lj m nz nj o sz š t zz ž",
    "cs": "Ca cz Čech čz d hz Chata chz i rz řeka s sz šat t zz žába",
    "da": "dansk đe dz oest ost y üa yz zoo Æble ærø ö2 øl ål år",
    "es": "nube nz Ñandú ñu o pan",
    "et": "sz šokk zoo žanr taim vesi w õun äri öö ülo x y",
    "fi": "a v y üa yz zz åbo Äiti äö öljy øre",
    "gl": "nube nz ñu o",
    "hr": "cz čaj ćup dz džem đak e lz ljeto m nz njiva o sz šal t zz žaba",
    "hu": "cukor csak d dudál dz dzeta dzú dzseki e go guba gyár h o oz öl őz p sok szék t út uz űr"
    " üst v zöld zug zsák",
    "is": "az á b dz ð e é f iz í j oz ó p uz ú v yz ý z zz þ æ ö å",
    "lt": "cz č d yra iz jis sz š t zz ž",
    "lv": "cz č d gz ģ h iz y j kz ķ l lz ļ m nz ņ o rz ŗ s sz š t zz ž",
    "nb": "dz đæ y üa yz z2 Ære ærlig ö2 øl Ålesund år",
    "nn": "dz y üa yz z2 Ære ærlig ö2 øl Ålesund år",
    "pl": "az ą b cz ć d ez ę f lz Łódź m nz ń o oz ó p sz ś t zz ź Żaba",
    "ro": "az ă â b iz î j sz ș t tz ț u",
    "sk": "az ä b cz č d hz chata i oz ô p rz ř s sz š t zz ž",
    "sl": "cz č ć d dz đ e sz š t zz ž",
    "sv": "a ap dz y üa yz Zorn zz åka År Äpple ärlig öl ør Öster",
    "tr": "cz ç d gz ğ h hz Irmak ısı izin İzmir j oz ö p sz ş t uz ü v",
}
LIKE_ROOT = "a Ähre Alt az é ez n ña nz o Öl oz z"
LETTERS = "abcdhilnorstuyzåäæøöñčćđšžłıİIğĕ\u0301\u0308\u030a\u0323 1٢²KﬀßａDžLj"
locales = st.sampled_from(collation.LOCALES)
words = st.text(LETTERS, max_size=12) | st.text(max_size=12)


def test_every_tailored_language_has_an_example() -> None:
    assert set(IN_ORDER) == set(collation._TAILORINGS)


@pytest.mark.parametrize(("locale", "in_order"), IN_ORDER.items())
def test_letters_stand_where_their_language_has_them(locale: str, in_order: str) -> None:
    names = in_order.split()
    other_way = names[::-1]
    assert sorted(other_way, key=lambda name: sort_key(name, locale)) == names


@pytest.mark.parametrize("locale", ["", *sorted(collation._LIKE_ROOT)])
def test_elsewhere_accents_do_not_count(locale: str) -> None:
    names = LIKE_ROOT.split()
    other_way = names[::-1]
    assert sorted(other_way, key=lambda name: sort_key(name, locale)) == names
    assert collation.of(locale).order == collation.FIRST_ORDER


def test_languages_can_be_told_by_their_order() -> None:
    orders = {collation.of(locale).order for locale in collation._TAILORINGS}
    assert len(orders) == len(collation._TAILORINGS)
    assert collation.FIRST_ORDER not in orders


@pytest.mark.parametrize(
    ("locale", "same"),
    [
        ("sv", ["ÅR", "år", "a\u030ar", "A\u030aR", "Ａ\u030ar", "\u212br"]),
        ("sv", ["ǻr", "år"]),  # an accent on å is an accent
        ("sv", ["ở", "o\u031b\u0309", "o"]),  # no ö
        ("sv", ["o\u0323\u0308", "ö"]),  # a dot below does not come between
        ("tr", ["I", "ı", "Ｉ"]),
        ("tr", ["İ", "i", "I\u0307"]),
        ("hr", ["DŽ", "dž", "ǅ", "DZ\u030c"]),
        ("cs", ["CH", "Ch", "ch"]),
        ("ro", ["ș", "ş", "Ș"]),
        ("hu", ["ggy", "gygy"]),
    ],
)
def test_letter_is_the_same_however_it_is_written(locale: str, same: list[str]) -> None:
    letters = {sort_key(name, locale).partition(KEY_BREAK)[0] for name in same}
    assert len(letters) == 1


@given(words, words, locales)
def test_names_without_letters_of_its_own_stand_as_in_root_order(
    one: str, other: str, locale: str
) -> None:
    keys = [sort_key(name, locale) for name in (one, other)]
    roots = [sort_key(name) for name in (one, other)]
    for key, root in zip(keys, roots, strict=True):
        assert key == root or (KEY_BREAK in key and key.endswith(KEY_BREAK + root))
    if keys == roots:
        assert (keys[0] < keys[1]) == (roots[0] < roots[1])


@given(st.lists(words, max_size=8), locales)
def test_order_is_total_and_does_not_depend_on_what_was_before(
    names: list[str], locale: str
) -> None:
    def key(name: str) -> tuple[str, str]:
        return sort_key(name, locale), name

    in_order, other_way = sorted(names, key=key), names[::-1]
    assert sorted(other_way, key=key) == in_order
    # The databases compare the bytes, we compare the characters.
    assert sorted(names, key=lambda name: (sort_key(name, locale).encode(), name)) == in_order


@given(words, st.sampled_from("0123456789"), locales)
def test_numbers_count_as_numbers_everywhere(name: str, digit: str, locale: str) -> None:
    shorter, longer = f"å{name}x9.pdf", f"å{name}x1{digit}.pdf"
    assert sort_key(shorter, locale) < sort_key(longer, locale)


@given(st.text(LETTERS + "が한𝄞😀ﷺ", max_size=300) | st.text(max_size=300), locales)
def test_every_key_has_room_in_an_index_and_is_text(name: str, locale: str) -> None:
    key = sort_key(name, locale)
    assert len(key.encode("utf-8", "surrogatepass")) <= 2560


@pytest.mark.parametrize("char", "한𝄞😀ﷺå")
def test_long_name_keeps_all_it_is_found_by(char: str) -> None:
    name = ("å" + char * 255)[:255]
    assert sort_key(name, "sv").endswith(KEY_BREAK + sort_key(name))
    assert len(sort_key(name, "sv").encode()) <= 2560
