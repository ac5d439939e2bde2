"""Simulated primary particles: numbers of the Particle Data Group and the names that stand in file names.

Nuclei are named by element and mass number, all others by a short list. Names agree with those of the ``particle``
library, which the CTAO data model uses, and are such that they can stand in a file name.
"""

from __future__ import annotations

import re

import attrs

from ctao_bdms.errors import InvalidNameError

__all__ = ["Particle"]

_NAMES = {
    22: "gamma", 11: "e-", -11: "e+", 13: "mu-", -13: "mu+", 15: "tau-", -15: "tau+",
    2212: "p", 2112: "n", 111: "pi0", 211: "pi+", -211: "pi-", 321: "K+", -321: "K-",
    1000010020: "D2", 1000010030: "T3",
}  # fmt: skip
_NUMBERS = {name: number for number, name in _NAMES.items()}
_SYMBOLS = re.findall(
    "[A-Z][a-z]?",
    "HHeLiBeBCNOFNeNaMgAlSiPSClArKCaScTiVCrMnFeCoNiCuZnGaGeAsSeBrKrRbSrYZrNbMoTcRuRhPdAgCdInSnSbTeIXe"
    "CsBaLaCePrNdPmSmEuGdTbDyHoErTmYbLuHfTaWReOsIrPtAuHgTlPbBiPoAtRnFrRaAcThPaU",
)
_CHARGES = {symbol: charge for charge, symbol in enumerate(_SYMBOLS, 1)}
_NUCLEUS = re.compile(r"(?P<symbol>[A-Z][a-z]?)(?P<mass>[1-9]\d{0,2})", re.ASCII)
_OFFSET = 10**9  # nuclei are numbered 100ZZZAAA0


@attrs.frozen(order=True, repr=False)
class Particle:
    """A primary particle of a simulated shower.

    Attributes
    ----------
    pdg_id
        Its number in the scheme of the Particle Data Group.

    Examples
    --------
    >>> Particle.parse("He4").pdg_id
    1000020040
    >>> Particle(22).name
    'gamma'
    """

    pdg_id: int = attrs.field()

    @pdg_id.validator
    def _known(self, _attribute: object, value: int) -> None:
        if not _name(value):
            msg = f"no primary particle with a name for files has the PDG number {value}"
            raise ValueError(msg)

    @classmethod
    def parse(cls, name: str) -> Particle:
        """Return the particle called `name`.

        Raises
        ------
        InvalidNameError
            If none is.
        """
        number = _NUMBERS.get(name)
        if number is None and (match := _NUCLEUS.fullmatch(name)) and match["symbol"] in _CHARGES:
            number = _OFFSET + _CHARGES[match["symbol"]] * 10**4 + int(match["mass"]) * 10
        if number is None or _name(number) != name:
            raise InvalidNameError(name, "a particle is called gamma, e-, p, mu+, He4, Fe56, ...", 0)
        return cls(number)

    @property
    def name(self) -> str:
        """The name in file names."""
        return _name(self.pdg_id)

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"Particle({self.name})"


def _name(number: int) -> str:
    """Return the name of a particle; empty if it has none for files."""
    charge, mass = divmod((number - _OFFSET) // 10, 1000)
    is_nucleus = number > _OFFSET and number % 10 == 0 and 2 <= charge <= len(_SYMBOLS) and charge <= mass
    return f"{_SYMBOLS[charge - 1]}{mass}" if is_nucleus else _NAMES.get(number, "")
