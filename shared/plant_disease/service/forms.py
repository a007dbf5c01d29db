"""The files of a multipart/form-data body (RFC 7578)."""

import re
from collections.abc import AsyncIterator, Collection
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from plant_disease.service.problems import Problem

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

_NO_FILE = "The form has no file in its field image. With curl: -F image=@leaf.jpg"
_BOUNDARY = re.compile(r"[ !#-\[\]-~]{1,256}")


async def read_files(
    content_type: str, body: AsyncIterator[bytes], *, fields: Collection[str], most: int
) -> list[tuple[str, bytes]]:
    """The files of a form in order, each with the name that its sender gives it.

    Args:
        content_type: of the body.
        body: in chunks; how long it is has been seen to.
        fields: the form may have these, and each part of it must be a file.
        most: parts; more are not even counted.

    Raises:
        Problem: 400, it is no such form.
    """
    boundary = parse_options_header(content_type)[1].get(b"boundary", b"").decode("latin-1")
    if not _BOUNDARY.fullmatch(boundary):
        raise Problem(400, "invalid_form", "The Content-Type has no boundary, or none that is allowed.")
    form = _Form(fields, most)
    # Not a part of the form: that would be a cycle, and the photos in it would wait for the garbage collection.
    parser = MultipartParser(boundary.encode("latin-1"), form.callbacks())
    try:
        async for chunk in body:
            parser.write(chunk)
    except FormParserError as error:
        raise Problem(400, "invalid_form", f"The multipart/form-data body cannot be read: {error}.") from error
    if form.problem:
        raise form.problem
    if not form.is_complete:
        raise Problem(400, "invalid_form", "The multipart/form-data body ends before its last boundary.")
    if not form.files:
        raise Problem(400, "no_image", _NO_FILE)
    return form.files


class _Form:
    """A form as it is read.

    Attributes:
        files: that have come whole.
        problem: the first with any of its parts. The rest is still read: who is refused in the middle of sending
            may not hear why.
        is_complete: whether its last boundary has come.
    """

    def __init__(self, fields: Collection[str], most: int) -> None:
        self.files: list[tuple[str, bytes]] = []
        self.problem: Problem | None = None
        self.is_complete = False
        self._fields = fields
        self._most = most
        self._header = self._value = self._disposition = b""
        self._name = ""
        self._chunks: list[bytes] = []

    def callbacks(self) -> "MultipartCallbacks":
        """What a parser is to call."""
        return {
            "on_part_begin": self._begin_part,
            "on_header_field": self._add_to_header,
            "on_header_value": self._add_to_value,
            "on_header_end": self._end_header,
            "on_headers_finished": self._begin_file,
            "on_part_data": self._add_to_file,
            "on_part_end": self._end_file,
            "on_end": self._end,
        }

    def _begin_part(self) -> None:
        self._disposition = b""

    def _add_to_header(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _add_to_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value
        self._header = self._value = b""

    def _begin_file(self) -> None:
        options = parse_options_header(self._disposition)[1]
        if _text(options.get(b"name", b"")) not in self._fields:
            self._refuse(
                Problem(400, "unknown_field", "The form has a field that is not known; send the photo as field image.")
            )
        elif b"filename" not in options:
            self._refuse(Problem(400, "no_image", _NO_FILE))
        elif len(self.files) == self._most:
            self._refuse(Problem(400, "invalid_form", f"The form has more than {self._most:,} parts."))
        else:
            self._name = _text(options[b"filename"])

    def _refuse(self, problem: Problem) -> None:
        self.problem = self.problem or problem
        # Once raised, it leads back here by its traceback: a cycle, which should hold no photos.
        self.files.clear()

    def _add_to_file(self, data: bytes, start: int, end: int) -> None:
        if not self.problem:
            self._chunks.append(data[start:end])

    def _end_file(self) -> None:
        if not self.problem:
            self.files.append((self._name, b"".join(self._chunks)))
        self._chunks = []

    def _end(self) -> None:
        self.is_complete = True


def _text(value: bytes) -> str:
    """As browsers send it today, or as they once did."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
