"""What the ending of a name claims of a file, and whether what the file is bears it out.

A false alarm can cost somebody their document, so an ending claims no more than is known to
hold for real files. `Claim.is_strict` where every such file begins with a signature that is
always seen: there, whatever does not fit is a mismatch. Anything else with a claim mismatches
only what is `_UNMISTAKABLE`. An ending that is not here claims nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from portal.documents import names


@dataclass(frozen=True, slots=True)
class Claim:
    """What a name says of a file."""

    #: With its article: "a picture".
    words: str
    #: Media types that bear it out; one that ends in `/` or `.` is the beginning of many.
    fitting: frozenset[str]
    is_strict: bool

    def fits(self, media_type: str) -> bool:
        return any(
            media_type == each or (each[-1] in "/." and media_type.startswith(each))
            for each in self.fitting
        )


_OOXML = "application/vnd.openxmlformats-officedocument."
_OPEN_DOCUMENT = "application/vnd.oasis.opendocument."
_ZIP = "application/zip"
#: Of what Office wrote before 2007, and of newer files with a password, only this much is sure.
_OLE = (
    "application/x-ole-storage application/CDFV2 application/CDFV2-encrypted application/encrypted"
    " application/vnd.ms-office"
)
_ANY_TEXT = "text/ message/ application/json application/xml application/javascript"
_ANY_ARCHIVE = (
    f"{_ZIP} {_OOXML} {_OPEN_DOCUMENT} application/epub+zip application/java-archive"
    " application/x-java-archive application/vnd.ms-visio. application/vnd.android.package-archive"
    " application/x-7z-compressed application/x-rar application/vnd.rar application/gzip"
    " application/x-bzip2 application/x-xz application/zstd application/x-tar application/x-lz4"
    " application/x-compress application/vnd.ms-cab-compressed"
)
_PROGRAM = (
    "application/x-dosexec application/vnd.microsoft.portable-executable application/x-executable"
    " application/x-pie-executable application/x-sharedlib application/x-mach-binary"
)
#: Programs open each of these under the ending of another.
_WRITTEN = (
    f"{_OOXML}wordprocessingml. {_OPEN_DOCUMENT}text {_OPEN_DOCUMENT}text-template"
    f" application/msword text/rtf application/rtf {_ZIP} {_OLE}"
)
_CALCULATED = (
    f"{_OOXML}spreadsheetml. {_OPEN_DOCUMENT}spreadsheet {_OPEN_DOCUMENT}spreadsheet-template"
    f" application/vnd.ms-excel {_ZIP} {_OLE}"
)
_PRESENTED = (
    f"{_OOXML}presentationml. {_OPEN_DOCUMENT}presentation {_OPEN_DOCUMENT}presentation-template"
    f" application/vnd.ms-powerpoint {_ZIP} {_OLE}"
)
#: `image/svg+xml` is no picture to whoever opens a .jpg: it can run scripts.
_PICTURE = (
    "image/jpeg image/png image/apng image/gif image/webp image/bmp image/x-ms-bmp image/tiff"
    " image/heic image/heif image/heic-sequence image/heif-sequence image/avif image/jp2 image/jxl"
    " image/jpm image/jpx image/x-jp2-codestream"
)
_CAMERA = f"{_PICTURE} image/x- image/vnd."
_HEARD = "audio/ video/ application/ogg"
#: Web sites hand out films as GIF, and phones keep films and pictures in one container.
_SEEN = f"{_HEARD} image/gif image/heic image/heif image/heic-sequence image/heif-sequence"

#: Endings, what they claim, the media types that bear it out, and whether strictly.
_CLAIMS: tuple[tuple[str, str, str, bool], ...] = (
    ("pdf", "a PDF", "application/pdf", True),
    ("jpg jpeg jpe png webp", "a picture", _CAMERA, True),
    ("gif", "a picture", f"{_CAMERA} video/", True),
    ("bmp tif tiff heic heif avif jp2 jxl", "a picture", f"{_CAMERA} video/", False),
    ("psd psb dwg", "a drawing", "image/", False),
    ("ai eps ps", "a drawing", "application/pdf application/postscript image/", False),
    ("docx docm dotx dotm odt ott", "a text document", _WRITTEN, True),
    ("doc dot rtf", "a text document", f"{_WRITTEN} {_ANY_TEXT}", False),
    ("xlsx xlsm xltx xltm xlsb ods ots", "a spreadsheet", _CALCULATED, True),
    ("xls xlt", "a spreadsheet", f"{_CALCULATED} {_ANY_TEXT}", False),
    ("pptx pptm ppsx ppsm potx odp otp", "a presentation", _PRESENTED, True),
    ("ppt pps pot", "a presentation", f"{_PRESENTED} {_ANY_TEXT}", False),
    ("msg", "a mail", f"application/vnd.ms-outlook {_OLE} {_ANY_TEXT}", False),
    ("eml mht mhtml", "a mail", _ANY_TEXT, False),
    ("zip 7z rar", "an archive", _ANY_ARCHIVE, True),
    (
        "gz tgz bz2 tbz xz txz zst tar cbz cbr jar apk epub kmz pages numbers",
        "an archive",
        _ANY_ARCHIVE,
        False,
    ),
    ("mp3 m4a m4b wav flac ogg oga opus aac wma amr aif aiff mid midi", "sound", _HEARD, False),
    ("mp4 m4v mov avi mkv webm wmv mpg mpeg 3gp flv", "a film", _SEEN, False),
    ("html htm xhtml svg", "a web page", f"{_ANY_TEXT} image/svg+xml", False),
    ("txt csv tsv md log json xml yaml yml toml ics vcf srt vtt", "text", _ANY_TEXT, False),
    ("css js mjs py c h java tex sh bat cmd ps1 vbs", "text", _ANY_TEXT, False),
    ("exe dll scr com", "a program", _PROGRAM, False),
    ("msi", "a program", f"{_PROGRAM} application/x-msi {_OLE}", False),
    ("ttf otf woff woff2", "a font", "font/ application/vnd.ms-opentype", False),
)
_BY_ENDING = {
    ending: Claim(words, frozenset(fitting.split()), is_strict)
    for endings, words, fitting, is_strict in _CLAIMS
    for ending in endings.split()
}

_TOLD: tuple[tuple[str, str], ...] = (
    (
        "application/x-dosexec application/vnd.microsoft.portable-executable",
        "a Windows program",
    ),
    ("application/x-executable application/x-pie-executable", "a Linux program"),
    ("application/x-sharedlib", "a Linux program"),
    ("application/x-mach-binary", "a Mac program"),
    ("application/pdf", "a PDF"),
    ("image/png image/jpeg image/gif image/webp image/heic", "a picture"),
    (f"{_ZIP} application/x-7z-compressed application/x-rar application/vnd.rar", "an archive"),
    (f"{_OOXML}wordprocessingml.document application/msword", "a Word document"),
    (f"{_OOXML}spreadsheetml.sheet application/vnd.ms-excel", "an Excel spreadsheet"),
    (f"{_OOXML}presentationml.presentation", "a PowerPoint presentation"),
    ("application/vnd.ms-powerpoint", "a PowerPoint presentation"),
    (f"{_OPEN_DOCUMENT}text", "a text document"),
    (f"{_OPEN_DOCUMENT}spreadsheet", "a spreadsheet"),
    (f"{_OPEN_DOCUMENT}presentation", "a presentation"),
    ("application/vnd.ms-outlook", "a mail"),
    ("application/x-msi", "a Windows program"),
    (_OLE, "an Office document"),
    ("video/mp4 video/quicktime video/x-matroska video/webm video/x-msvideo", "a film"),
)
#: What libmagic tells by a signature that nothing else has by chance, in words for people.
_UNMISTAKABLE = {each: words for types, words in _TOLD for each in types.split()}

#: What is said of other types; a slash makes it the beginning of many.
_SAID = (
    ("text/html", "a web page"),
    ("image/svg+xml", "an SVG drawing"),
    ("text/", "text"),
    ("image/", "a picture"),
    ("audio/", "sound"),
    ("video/", "a film"),
)


def of_text(ending: str) -> bool:
    """Whether the ending claims text."""
    claim = _BY_ENDING.get(ending)
    return claim is not None and claim.words == "text"


def is_unmistakable(media_type: str) -> bool:
    """Whether libmagic answers this type for nothing else, but text that imitates it."""
    return media_type in _UNMISTAKABLE


def mismatch(name: str, media_type: str, size_bytes: int) -> str:
    """Say what is wrong between a clean name and a detected type; empty where nothing is.

    "This file is called invoice.pdf and is a Windows program." Nothing is wrong with an empty
    file, whatever its name.
    """
    claim = _BY_ENDING.get(names.extension(name))
    if claim is None or not size_bytes or claim.fits(media_type):
        return ""
    if not claim.is_strict and media_type not in _UNMISTAKABLE:
        return ""
    return f"This file is called {name} and is {_words(media_type, claim)}."


def _words(media_type: str, claim: Claim) -> str:
    if words := _UNMISTAKABLE.get(media_type):
        return words
    for start, words in _SAID:
        if media_type.startswith(start) and words != claim.words:
            return words
    return f"not {claim.words}"
