"""In which order the letters of a language stand, by the rules of CLDR.

Sorting is comparing strings by code points. In root order accents do not count, so that an å
stands with the a. A language that has it after the z *tailors* that: `spell` writes the å as a z
and something that comes after whatever else can follow a z.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache

#: Rises with every change of this file by which some name is sorted differently: the worker
#: then writes the keys of all names anew.
_EDITION = 1
#: What keys are in that were made before there was a choice (`Collation.order`).
FIRST_ORDER = "root/1"

#: "n<ñ" is: right after everything that begins with n comes ñ. "=" is: sorted as the same.
#: What several letters make up is told after those letters. Names of people and places with
#: "aa" are not told from other words, so Danish and Norwegian have it as two letters.
_TAILORINGS = {
    "bs": "c<č<ć d<dž<đ l<lj n<nj s<š z<ž",
    "cs": "c<č h<ch r<ř s<š z<ž",
    "da": "d=đ=ð th=þ y=ü=ű oe=œ z<æ=ä<ø=ö=ő<å",
    "es": "n<ñ",
    "et": "s<š<z<ž w<õ<ä<ö<ü",
    "fi": "d=đ g=ǥ n=ŋ t=ŧ y=ü z=ʒ<å<ä=æ<ö=ø",
    "gl": "n<ñ",
    "hr": "c<č<ć d<dž<đ l<lj n<nj s<š z<ž",
    "hu": "c<cs d<dz<dzs g<gy l<ly n<ny o<ö=ő s<sz t<ty u<ü=ű z<zs"
    " cscs=ccs dzdz=ddz dzsdzs=ddzs gygy=ggy lyly=lly nyny=nny szsz=ssz tyty=tty zszs=zzs",
    "is": "a<á d=đ<ð e<é i<í o<ó u<ú y<ý z<þ<æ=ä<ö=ø<å",
    "lt": "c<č i=y s<š z<ž",
    "lv": "c<č g<ģ i<y k<ķ l<ļ n<ņ r<ŗ s<š z<ž",
    "nb": "d=đ=ð th=þ y=ü=ű z<æ=ä=ę<ø=ö=ő=œ<å",
    "nn": "d=đ=ð th=þ y=ü=ű z<æ=ä=ę<ø=ö=ő=œ<å",
    "pl": "a<ą c<ć e<ę l<ł n<ń o<ó s<ś z<ź<ż",
    "ro": "a<ă<â i<î s<ș=ş t<ț=ţ",
    "sk": "a<ä c<č h<ch o<ô r<ř s<š z<ž",
    "sl": "c<č<ć d<đ s<š z<ž",
    "sv": "d=đ=ð th=þ y=ü=ű z<å<ä=æ=ę<ö=ø=ő=œ=ô",
    "tr": "c<ç g<ğ h<ı o<ö s<ş u<ü",
}
#: Languages whose order is root's, accents beside their letters; German as in DIN 5007-1.
_LIKE_ROOT = frozenset({"ca", "de", "en", "fr", "it", "nl", "pt"})
#: Which languages there are, by their codes (ISO 639-1); empty is root order too.
LOCALES = tuple(sorted(_LIKE_ROOT | set(_TAILORINGS)))

#: Comes after everything that can follow a letter.
_AFTER = "\U0010ffff"
#: In Turkish the capital I is that of ı, and İ that of i.
_TURKISH = {ord("I"): "ı", ord("İ"): "i"}


class Collation:
    """The order of one language."""

    def __init__(self, locale: str) -> None:
        rules = _TAILORINGS.get(locale, "")
        #: The same text for the same order, kept beside keys to know what they were made by.
        self.order = f"{locale if rules else 'root'}/{_EDITION}"
        self._capitals = _TURKISH if locale == "tr" else {}
        self._spelt: dict[str, str] = {}
        self._pattern = re.compile("(?!)")
        for rule in rules.split():
            self._learn(rule)

    def lower_own(self, name: str) -> str:
        """`name` with those capitals made small that are others here than elsewhere."""
        if not self._capitals:
            return name
        return unicodedata.normalize("NFKC", name).translate(self._capitals)

    def spell(self, folded: str) -> str:
        """Folded text, without accents, so that its code points are in this order.

        Where none of the language's own letters is in it, this is what root order has.
        """
        letters: list[str] = []
        for char in unicodedata.normalize("NFKD", folded):
            if not unicodedata.combining(char):
                letters.append(char)
            elif letters:
                with_accent = unicodedata.normalize("NFC", letters[-1] + char)
                if with_accent in self._spelt:
                    letters[-1] = with_accent
        return self._pattern.sub(lambda found: self._spelt[found[0]], "".join(letters))

    def _learn(self, rule: str) -> None:
        base, *after = (letters.split("=") for letters in rule.split("<"))
        start = self.spell(base[0])
        self._spelt |= dict.fromkeys(base[1:], start)
        for rank, letters in enumerate(after):
            self._spelt |= dict.fromkeys(letters, f"{start}{_AFTER}{chr(ord('a') + rank)}")
        longest_first = sorted(self._spelt, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first)))


@cache
def of(locale: str) -> Collation:
    """The order of `locale`, one of `LOCALES`, or root order for the empty text."""
    return Collation(locale)
