"""File names of LST-1 from before the acquisition of the whole array.

Grammar (published samples)::

    name = "LST-" telescope "." stream ".Run" 5*digit "." 4*digit ".fits.fz"
"""

from __future__ import annotations

import attrs

from ctao_bdms.naming.grammar import Grammar, Piece

__all__ = ["LstName"]

_NAME = Grammar(
    [
        Piece("LST- and the number of the telescope", r"LST-(?P<telescope>[1-4])"),
        Piece("'.' and the number of the stream", r"\.(?P<stream>\d+)"),
        Piece("'.Run' and at least five digits", r"\.Run(?P<run>\d{5,})"),
        Piece("'.' and at least four digits of the part of the run", r"\.(?P<part>\d{4,})"),
        Piece("the extension .fits.fz", r"\.fits\.fz\Z"),
    ]
)


@attrs.frozen(order=True)
class LstName:
    """The name of one file of LST-1, taken apart; digits are kept as written.

    Attributes
    ----------
    ae_id
        The telescope.
    stream
        Digits of the parallel stream of the acquisition.
    run, part
        Digits of the local run and of the part of it (sub-run).

    Examples
    --------
    >>> name = LstName.parse("LST-1.1.Run02005.0000.fits.fz")
    >>> name.ae_id, name.run_id, name.chunk_id
    (1, 2005, 0)
    """

    ae_id: int
    stream: str
    run: str
    part: str

    @classmethod
    def parse(cls, text: str) -> LstName:
        """Return the parts of `text`.

        Raises
        ------
        InvalidNameError
            If `text` is outside the grammar; the error points at the character.
        """
        telescope, stream, run, part = _NAME.match(text).groups()
        return cls(int(telescope), stream, run, part)

    @property
    def run_id(self) -> int:
        """The local run."""
        return int(self.run)

    @property
    def chunk_id(self) -> int:
        """The place of the file in its stream."""
        return int(self.part)

    def __str__(self) -> str:
        return f"LST-{self.ae_id}.{self.stream}.Run{self.run}.{self.part}.fits.fz"
