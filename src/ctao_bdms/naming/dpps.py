"""Names of the files that data processing and simulation (DPPS) makes.

Rules (CTAO data model, ``ctao-datamodel`` 1.4)::

    name     = level "_" division "_" association "_" type ("_ob" n | ["_" site] ["_night" YYYYMMDD]) ["_" element]
               ["_chunk" n] ["_" source] ["_" sublevel *("+" sublevel)] ["_sub" n]
               [["_" particle] "_nsb" f ("_zen" f "_az" f | "_ha" f "h_dec" f "d")] extension
    level    = "r0" | "r1" | "dl0" ... "dl6" | "sim" | "sci"
    division = "evt" | "mon" | "svc" | "mod" | "bin" | "cat"
    association = "arr" | "sub" | "tel" | "reg" | "tar"

Numbers have a fixed width: ten digits for observation blocks, three for all others, one decimal for angles. A name
with an observation block needs neither site nor night, because the block is unique.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import attrs

from ctao_bdms.errors import InvalidNameError
from ctao_bdms.model import DataAssociation, DataDivision, DataLevel, DataType, Night, Particle, ProductType, Site
from ctao_bdms.naming.grammar import Grammar, Piece
from ctao_bdms.naming.simulation import SimulationNode, node_of, spelled_node

if TYPE_CHECKING:
    import re
    from collections.abc import Mapping

    from ctao_bdms.model import Value

__all__ = ["DppsName", "SUBLEVELS"]


_DIVISIONS = {division: division.value[:3].lower() for division in DataDivision}
_DIVISIONS |= {DataDivision.EVENT: "evt", DataDivision.SERVICE: "svc"}
_ASSOCIATIONS = {association: association.value[:3].lower() for association in DataAssociation}
_LEVELS = {level: level.value[:3].lower() for level in DataLevel}
_SITES = {site: site.value.removeprefix("CTAO-").lower() for site in Site}
_TYPES = {kind.value: kind for kind in DataType}
_LEVEL = {short: level for level, short in _LEVELS.items()}
_DIVISION = {short: division for division, short in _DIVISIONS.items()}
_ASSOCIATION = {short: association for association, short in _ASSOCIATIONS.items()}
_SITE = {short: site for site, short in _SITES.items()}

#: Sublevels in the order of the data model, which is that of names.
SUBLEVELS = ("images", "parameters", "geometry", "energy", "gammaness")
_SUBLEVEL = "|".join(SUBLEVELS)
_N3 = r"(?:\d{3}|[1-9]\d{3,})"
_N10 = r"(?:\d{10}|[1-9]\d{10,})"
_F3, _F2 = r"-?\d+\.\d", r"\d+\.\d"

_NAME = Grammar(
    [
        Piece("a data level as dl1", f"(?P<level>{'|'.join(_LEVEL)})(?=_)"),
        Piece(f"'_' and one of {', '.join(_DIVISION)}", f"_(?P<division>{'|'.join(_DIVISION)})(?=_)"),
        Piece(f"'_' and one of {', '.join(_ASSOCIATION)}", f"_(?P<association>{'|'.join(_ASSOCIATION)})(?=_)"),
        Piece("'_' and a product type as AirShower", rf"_(?P<type>{'|'.join(_TYPES)})(?=[_.])"),
        Piece("'_ob' and ten digits", rf"_ob(?P<obs>{_N10})", optional=True),
        Piece(f"'_' and a site ({', '.join(_SITE)})", rf"_(?P<site>{'|'.join(_SITE)})(?=[_.])", optional=True),
        Piece("'_night' and a date as in 20261121", r"_night(?P<night>\d{8})", optional=True),
        Piece("'_tel' and three digits", rf"_(?P<element>tel|ace)(?P<ae>{_N3})", optional=True),
        Piece("'_chunk' and three digits", rf"_chunk(?P<chunk>{_N3})", optional=True),
        Piece("'_' and a source of the acquisition as SDH001", rf"_(?P<source>[A-Z]+{_N3})(?=[_.])", optional=True),
        Piece("'_' and sublevels joined by '+'", rf"_(?P<sub>(?:{_SUBLEVEL})(?:\+(?:{_SUBLEVEL}))*)", optional=True),
        Piece("'_sub' and three digits", rf"_sub(?P<subarray>{_N3})", optional=True),
        Piece("'_' and a particle before '_nsb'", r"_(?P<particle>[A-Za-z]+\d*[+-]?)(?=_nsb)", optional=True),
        Piece("'_nsb' and a number as 01.0", rf"_nsb(?P<nsb>{_F2})(?=_(?:zen|ha))", optional=True),
        Piece("'_zen' and '_az' with one decimal", rf"_zen(?P<zen>{_F3})_az(?P<az>{_F3})", optional=True),
        Piece("'_ha' and '_dec' with one decimal", rf"_ha(?P<ha>{_F3})h_dec(?P<dec>{_F3})d", optional=True),
        Piece("an extension as .h5 or .fits.gz", r"(?P<extension>(?:\.[a-z][a-z0-9]*){1,3})\Z"),
    ]
)


@attrs.frozen(kw_only=True)
class DppsName:
    """The name of one file of data processing or simulation, taken apart.

    Attributes
    ----------
    kind
        The product type.
    obs_id
        The observation block; None if the product is of no single one.
    site, night
        Site and observing night, where the name says them: never beside an observation block.
    ae_class, ae_id
        ``tel`` or ``ace`` and the number of the array element; empty and None if of no single one.
    chunk_id
        The place in its stream, or None.
    source
        The stream of the acquisition, e.g. ``SDH001``, or empty.
    sublevels
        The processing sublevels that it holds, in the order of the data model.
    subarray_id
        The subarray of a simulated product, or None.
    particle
        The simulated primary, or None.
    node
        The node of the simulation grid, or None.
    extension
        With its dots.

    Examples
    --------
    >>> name = DppsName.parse("dl1_evt_tel_AirShower_ob2000000001_tel001_chunk000.h5")
    >>> name.kind, name.obs_id, name.ae_id, name.chunk_id
    (ProductType(DL1/Event/Telescope/AirShower), 2000000001, 1, 0)
    >>> str(name)
    'dl1_evt_tel_AirShower_ob2000000001_tel001_chunk000.h5'
    """

    kind: ProductType
    obs_id: int | None = None
    site: Site | None = None
    night: Night | None = None
    ae_class: str = ""
    ae_id: int | None = None
    chunk_id: int | None = None
    source: str = ""
    sublevels: tuple[str, ...] = ()
    subarray_id: int | None = None
    particle: Particle | None = None
    node: SimulationNode | None = None
    extension: str = ".h5"

    @classmethod
    def parse(cls, text: str) -> DppsName:
        """Return the parts of `text`.

        Raises
        ------
        InvalidNameError
            If `text` is outside the rules; the error points at the character and says what should stand there.
        """
        found = _NAME.match(text)
        (
            level, division, association, type_, obs, site, night, ae_class, ae, chunk, source, sublevels, subarray,
            particle, nsb, zen, az, ha, dec, extension,
        ) = found.groups("")  # fmt: skip
        try:
            kind = _kind(level, division, association, type_)
        except ValueError as error:
            raise InvalidNameError(text, str(error), found.start("division")) from None
        name = cls(
            kind=kind,
            obs_id=int(obs) if obs else None,
            site=_SITE[site] if site else None,
            night=_night(found, night) if night else None,
            ae_class=ae_class,
            ae_id=int(ae) if ae else None,
            chunk_id=int(chunk) if chunk else None,
            source=source,
            sublevels=_sublevels(found, sublevels) if sublevels else (),
            subarray_id=int(subarray) if subarray else None,
            particle=_particle(found, particle) if particle else None,
            node=_simulated(found, nsb, zen, az, ha, dec) if nsb or zen or ha else None,
            extension=extension,
        )
        if obs and (site or night):
            raise InvalidNameError(
                text, "a name with an observation block has neither site nor night", found.end("obs")
            )
        return name

    def __str__(self) -> str:
        text = _short(self.kind)
        if self.obs_id is not None:
            text += f"_ob{self.obs_id:010d}"
        else:
            if self.site is not None:
                text += f"_{_SITES[self.site]}"
            if self.night is not None:
                text += f"_night{self.night.date.isoformat().replace('-', '')}"
        if self.ae_id is not None:
            text += f"_{self.ae_class}{self.ae_id:03d}"
        if self.chunk_id is not None:
            text += f"_chunk{self.chunk_id:03d}"
        if self.source:
            text += f"_{self.source}"
        if self.sublevels:
            text += f"_{'+'.join(self.sublevels)}"
        if self.subarray_id is not None:
            text += f"_sub{self.subarray_id:03d}"
        if self.node is not None:
            if self.particle is not None:
                text += f"_{self.particle.name}"
            text += "_" + "_".join(self.node.pieces)
        return text + self.extension

    @classmethod
    def of(cls, metadata: Mapping[str, Value], extension: str = ".h5") -> DppsName:
        """Return the name of the product with this metadata (keys of the metadata table).

        Raises
        ------
        KeyError
            If the product type is missing.
        ValueError
            If a value is none that the data model knows.

        Examples
        --------
        >>> kind = {"data__level": "DL2", "data__division": "Event", "data__association": "Subarray"}
        >>> str(DppsName.of({**kind, "data__type": "AirShower", "instance__obs_id": 3000000007}))
        'dl2_evt_sub_AirShower_ob3000000007.h5'
        """

        def at(key: str) -> Value | None:
            return metadata.get(f"instance__{key}")

        kind = ProductType.parse(
            "/".join(str(metadata[f"data__{key}"]) for key in ("level", "division", "association", "type"))
        )
        is_simulated = any(key.startswith("simulation__") for key in metadata)
        node = node_of(metadata)
        held = str(at("sublevel_id") or "").lower().replace("|", "+").split("+")
        obs_id, night, site = at("obs_id"), at("observing_night"), at("site_id")
        return cls(
            kind=kind,
            obs_id=_int(obs_id),
            site=None if obs_id is not None or site is None else Site(str(site)),
            night=None if obs_id is not None or night is None else Night.parse(str(night)),
            ae_class=str(at("ae_class") or "tel").lower() if at("ae_id") is not None else "",
            ae_id=_int(at("ae_id")),
            chunk_id=_int(at("chunk_id")),
            source=str(at("data_source") or ""),
            sublevels=tuple(word for word in SUBLEVELS if word in held),
            subarray_id=_int(at("subarray_id")) if is_simulated else None,
            particle=Particle(int(str(at("particle_pdgid")))) if node and at("particle_pdgid") is not None else None,
            node=node.named if node else None,
            extension=extension,
        )

    @property
    def metadata(self) -> dict[str, Value]:
        """What the name says of the product, by the keys of the metadata table.

        Examples
        --------
        >>> DppsName.parse("dl2_evt_sub_AirShower_ob3000000007.h5").metadata["instance__obs_id"]
        3000000007
        """
        kind = self.kind
        said: dict[str, Value | None] = {
            "data__level": kind.level.value,
            "data__division": kind.division.value,
            "data__association": kind.association.value,
            "data__type": kind.type.value,
            "instance__obs_id": self.obs_id,
            "instance__site_id": None if self.site is None else self.site.value,
            "instance__observing_night": None if self.night is None else self.night.date,
            "instance__ae_class": self.ae_class.upper() or None,
            "instance__ae_id": self.ae_id,
            "instance__chunk_id": self.chunk_id,
            "instance__data_source": self.source or None,
            "instance__sublevel_id": "|".join(word.upper() for word in self.sublevels) or None,
            "instance__subarray_id": self.subarray_id,
            "instance__particle_pdgid": None if self.particle is None else self.particle.pdg_id,
            **({} if self.node is None else self.node.metadata),
        }
        return {key: value for key, value in said.items() if value is not None}


def _int(value: Value | None) -> int | None:
    return None if value is None else int(str(value))


@lru_cache(maxsize=1024)
def _kind(level: str, division: str, association: str, type_: str) -> ProductType:
    return ProductType(_LEVEL[level], _DIVISION[division], _ASSOCIATION[association], _TYPES[type_])


@lru_cache(maxsize=1024)
def _short(kind: ProductType) -> str:
    return f"{_LEVELS[kind.level]}_{_DIVISIONS[kind.division]}_{_ASSOCIATIONS[kind.association]}_{kind.type.value}"


@lru_cache(maxsize=1024)
def _date(digits: str) -> Night:
    return Night.parse(digits)


def _night(found: re.Match[str], digits: str) -> Night:
    try:
        return _date(digits)
    except InvalidNameError:
        raise InvalidNameError(found.string, f"{digits} is no date", found.start("night")) from None


def _sublevels(found: re.Match[str], text: str) -> tuple[str, ...]:
    """Return the sublevels of a name; each once, in the order of the data model."""
    words = tuple(text.split("+"))
    if words != tuple(word for word in SUBLEVELS if word in words):
        reason = f"sublevels stand once each, in the order {'+'.join(SUBLEVELS)}"
        raise InvalidNameError(found.string, reason, found.start("sub"))
    return words


@lru_cache(maxsize=1024)
def _primary(name: str) -> Particle:
    return Particle.parse(name)


def _particle(found: re.Match[str], name: str) -> Particle:
    try:
        return _primary(name)
    except InvalidNameError as error:
        raise InvalidNameError(found.string, error.reason, found.start("particle")) from None


def _simulated(found: re.Match[str], *texts: str) -> SimulationNode:
    """Return the node of a name, if it is complete and spelled as the rules spell it."""
    nsb, zen, _, ha, _ = texts
    if not nsb or bool(zen) == bool(ha):
        place = found.start("ha") - len("_ha") if ha else found.start("zen") - len("_zen")
        raise InvalidNameError(found.string, "a node of a simulation has '_nsb' and either zenith or hour angle", place)
    node, spelled = spelled_node(*texts)
    written = found.string[found.start("nsb") - 3 : found.start("extension")]
    if spelled != written:
        place = next(i for i, (a, b) in enumerate(zip(spelled + " ", written + " ", strict=False)) if a != b)
        raise InvalidNameError(found.string, f"this is spelled {spelled}", found.start("nsb") - 3 + place)
    return node
