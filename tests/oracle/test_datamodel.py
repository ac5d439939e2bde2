"""Names and metadata beside CTAO's own data model: its generator says what is right.

Runs where ``ctao-datamodel`` is installed (``nox -s oracle``), apart from the other rings. What differs on purpose is
listed here, with its reason, and nothing else may.
"""

from __future__ import annotations

import datetime as dt
import enum
import itertools
import re
import typing
from collections import Counter

import pytest
from astropy.time import Time
from astropy.units import Quantity
from ctao_datamodel import ModelBase, flatten_model_instance, walk_model
from ctao_datamodel.models import dataproducts as dp
from ctao_datamodel.models.common import SiteID
from ctao_datamodel.models.dataproducts.ident import ProcessingSublevel, ProposedDataType
from ctao_datamodel.models.dataproducts.tests.simulator import (
    ProductTestCase,
    build_example_dpps_archive,
    generate_product_test_cases,
    make_example_product,
)
from particle import Particle as OfficialParticle

from ctao_bdms.model import (
    METADATA,
    Category,
    DataAssociation,
    DataDivision,
    DataLevel,
    DataType,
    Lfn,
    Particle,
    ProductMetadata,
    ProductType,
    Site,
    ValueType,
)
from ctao_bdms.naming import AcadaName, DppsName, DppsPath, read_lfn, scope_of
from ctao_bdms.naming.dpps import SUBLEVELS
from ctao_rucio_policy.schema import NAME, SCOPE

#: Where we put their base.
VO, SCOPE_NAME = "ctao", "dpps"
#: Products of the generator, as of ctao-datamodel 1.4.
PRODUCTS = 9924

#: Keys of theirs that are no columns of ours: a list of inputs, and the time scale, which is UTC with us.
NOT_OURS = {
    "activity__inputs",
    "observation__coverage__time__reference__position",
    "observation__coverage__time__reference__resolution",
    "observation__coverage__time__reference__system",
    "observation__coverage__time__reference__time_mjd",
    "observation__coverage__time__reference__unit",
}
#: Keys of ours that theirs does not have: set by ingest.
NOT_THEIRS = {"integrity__sha256", "integrity__datasums"}
#: Keys whose keyword differs (theirs, ours): raw data carry the dates of the FITS standard, and comments say anything.
OTHER_KEYWORDS = {
    "disclaimer": ("COMMENT", ()),
    "observation__coverage__time__t_min": ("TSTART", ("DATE-BEG", "DATE")),
    "observation__coverage__time__t_max": ("TSTOP", ("DATE-END", "DATEEND")),
}


class Official(typing.NamedTuple):
    """A product of theirs, with its names."""

    case: ProductTestCase
    product: dp.Product
    directory: str
    name: str

    @property
    def lfn(self) -> str:
        return f"{self.directory}/{self.name}"

    @property
    def metadata(self) -> ProductMetadata:
        flat = flatten_model_instance(self.product, separator="__", to_string=False)
        return ProductMetadata({key: value for key, value in flat.items() if key not in NOT_OURS})


def _official(case: ProductTestCase) -> Official:
    product = make_example_product(case)
    directory = dp.utils.dpps_lfn(product, base=f"/{VO}/{SCOPE_NAME}", include_filename=False)
    return Official(case, product, str(directory), dp.utils.dpps_filename(product, suffix=case.file_suffix))


@pytest.fixture(scope="module")
def products() -> list[Official]:
    return [_official(case) for case in generate_product_test_cases()]


def test_all_products_are_parsed_and_come_back_exactly(products: list[Official]) -> None:
    assert len(products) == PRODUCTS
    assert len({each.lfn for each in products}) == PRODUCTS
    for each in products:
        path = read_lfn(Lfn(each.lfn))
        assert isinstance(path, DppsPath)
        assert path.lfn.text == each.lfn
        assert str(DppsName.parse(each.name)) == each.name
        assert scope_of(each.lfn) == SCOPE_NAME


def test_all_products_pass_our_schema(products: list[Official]) -> None:
    for each in products:
        assert re.match(str(NAME["pattern"]), each.lfn)
        assert len(each.lfn) <= int(NAME["maxLength"])
        assert re.match(str(SCOPE["pattern"]), scope_of(each.lfn))
    assert sum("+" in each.lfn for each in products) == 768


def test_the_parts_of_a_name_are_the_attributes(products: list[Official]) -> None:
    for each in products:
        instance, path = each.product.instance, DppsPath.parse(Lfn(each.lfn))
        name = path.name
        assert str(name.kind) == str(each.product.data)
        assert (name.obs_id, name.ae_id, name.chunk_id) == (instance.obs_id, instance.ae_id, instance.chunk_id)
        assert str(path.site) == str(instance.site_id)
        assert path.release.text == each.product.curation.release
        assert (name.particle and name.particle.pdg_id) == instance.particle_pdgid
        if path.night:
            assert path.night.date == instance.observing_night
        node = each.product.simulation and each.product.simulation.node
        if node:
            assert path.node
            assert path.node.nsb_factor == node.nsb_factor
            assert (path.node.zenith_deg, path.node.azimuth_deg) == (
                node.zenith.to_value("deg"),
                node.azimuth.to_value("deg"),
            )


def test_the_same_attributes_give_the_same_names(products: list[Official]) -> None:
    for each in products:
        path = DppsPath.of(each.metadata, VO, SCOPE_NAME, extension=each.case.file_suffix)
        assert path.lfn.text == each.lfn


def test_nodes_by_hour_angle_and_declination_agree(products: list[Official]) -> None:
    each = next(each for each in products if each.case.particle_pdgid)
    for hour_angle, declination in itertools.product((0.0, 15.0, -22.5, 100.0), (0.0, 22.04, -70.5)):
        node = each.product.simulation.node.model_copy(
            update={"hour_angle": Quantity(hour_angle, "deg"), "declination": Quantity(declination, "deg")}
        )
        simulation = each.product.simulation.model_copy(update={"node": node})
        product = each.product.model_copy(update={"simulation": simulation})
        directory = dp.utils.dpps_lfn(product, base=f"/{VO}/{SCOPE_NAME}", include_filename=False)
        other = Official(each.case, product, str(directory), dp.utils.dpps_filename(product))
        assert DppsPath.of(other.metadata, VO, SCOPE_NAME).lfn.text == other.lfn
        assert DppsPath.parse(Lfn(other.lfn)).lfn.text == other.lfn


def test_the_example_archive_on_disk_is_understood(tmp_path_factory: pytest.TempPathFactory) -> None:
    root = tmp_path_factory.mktemp("archive")
    build_example_dpps_archive(root, n_nights=1, n_obs_ids=1, n_sim_runs=1, n_chunks=2)
    files = [file.relative_to(root).as_posix() for file in root.rglob("*") if file.is_file()]
    areas: Counter[tuple[str, ...]] = Counter()
    for file in files:
        path = DppsPath.parse(Lfn(f"/{VO}/{SCOPE_NAME}/{file}"))
        assert str(path.lfn) == f"/{VO}/{SCOPE_NAME}/{file}"
        areas[path.area] += 1
    assert set(areas) == {("ShortTerm", "DPPS"), ("BulkArchive", "DPPS")}
    # Leaf directories hold files, all others directories: what DIRAC needs.
    folders = {file.rpartition("/")[0] for file in files}
    assert not any(other.startswith(f"{folder}/") for folder in folders for other in folders)


@pytest.mark.parametrize("ae_class", [None, "TEL", "ACE"])
@pytest.mark.parametrize("chunk", [None, 3, 1000])
@pytest.mark.parametrize("kind", ["AirShower", "MuonCandidate", "Calibration", "Trigger"])
@pytest.mark.parametrize(("obs_id", "sb_id"), [(2000000016, 2000000008), (None, None), (12345, 12023902)])
def test_names_of_the_acquisition_agree(
    products: list[Official], ae_class: str | None, chunk: int | None, kind: str, obs_id: int | None, sb_id: int | None
) -> None:
    data = dp.ProductType(level="DL0", division="Event", association="Subarray", type=kind)
    instance = dp.InstanceIdentifier(
        obs_id=obs_id,
        ae_id=25 if ae_class else None,
        ae_class=ae_class,
        subarray_id=5,
        chunk_id=chunk,
        data_source=dp.ACADADataSource(component="SDH", id=1),
    )
    acquisition = None if sb_id is None else dp.Acquisition(sb_id=sb_id)
    product = products[0].product.model_copy(update={"data": data, "instance": instance, "acquisition": acquisition})
    text = dp.utils.acada_filename(product)
    name = AcadaName(
        owner=ae_class or "SUB",
        owner_id=25 if ae_class else 5,
        source="SDH001",
        start=dt.datetime(2025, 10, 15, 18, 12, 32, tzinfo=dt.UTC),
        sb=f"{sb_id:010d}" if sb_id else "",
        obs=str(obs_id) if obs_id else "",
        type="SUB",
        subtype={"AirShower": "SHOWER", "MuonCandidate": "MUON", "Calibration": "CALIB"}.get(kind, ""),
        counter="CHUNK" if chunk else "",
        count=f"{chunk:03d}" if chunk else "",
    )
    assert str(name) == text
    assert AcadaName.parse(text) == name


def test_words_are_the_same() -> None:
    for ours, theirs in (
        (DataLevel, dp.DataLevel),
        (DataDivision, dp.DataDivision),
        (DataAssociation, dp.DataAssociation),
        (Category, dp.DataProcessingCategory),
        (Site, SiteID),
    ):
        assert {member.value for member in ours} == {member.value for member in theirs}
    assert [member.value for member in DataLevel] == [member.value for member in dp.DataLevel]
    official, proposed = ({member.value for member in kinds} for kinds in (dp.DataType, ProposedDataType))
    assert {member.value for member in DataType} == official | proposed
    assert list(SUBLEVELS) == [member.name.lower() for member in ProcessingSublevel]


def test_product_types_exist_or_not_in_both() -> None:
    for words in itertools.product(DataLevel, DataDivision, DataAssociation):
        text = "/".join(map(str, (*words, DataType.CALIBRATION)))
        verdicts = []
        for parse in (ProductType.parse, dp.ProductType.from_str):
            try:
                verdicts.append(str(parse(text)))
            except ValueError:
                verdicts.append("refused")
        assert verdicts[0] == verdicts[1], text


def test_particles_are_called_the_same() -> None:
    checked = 0
    for theirs in OfficialParticle.findall():
        try:
            ours = Particle(int(theirs.pdgid))
        except ValueError:
            continue
        assert ours.name == theirs.name
        assert Particle.parse(theirs.name) == ours
        checked += 1
    assert checked > 2000


def _fields() -> dict[str, tuple[type, typing.Any]]:
    """Return the leaves of their model: type, and where it stands, by flat key."""
    found: dict[str, tuple[type, typing.Any]] = {}
    for kind, path in walk_model(dp.Product):
        key = "__".join(parent.item_name for parent in path[1:])
        is_leaf = kind is dp.ACADADataSource or not issubclass(kind, ModelBase)
        if is_leaf and not any(key.startswith(f"{other}__") for other in ("instance__data_source", "activity__inputs")):
            found[key] = (kind, path[-1])
    return found


def _type(kind: type) -> ValueType:
    """Return the type of ours in which a leaf of theirs is kept."""
    for theirs, ours in (
        (bool, ValueType.BOOL),
        ((Quantity, float), ValueType.FLOAT),
        (int, ValueType.INT),
        (Time, ValueType.TIME),
        (dt.date, ValueType.DATE),
    ):
        if issubclass(kind, theirs) and not issubclass(kind, enum.Enum):
            return ours
    return ValueType.STR


def test_keys_are_the_same() -> None:
    theirs = set(_fields()) | {"activity__inputs"}
    assert theirs - set(METADATA) == NOT_OURS
    assert set(METADATA) - theirs == NOT_THEIRS


def test_types_and_units_are_the_same() -> None:
    fields = _fields()
    assert len(fields) > 80
    for key in METADATA.keys() - NOT_THEIRS:
        kind, place = fields[key]
        assert METADATA[key].type is _type(kind), key
        assert METADATA[key].unit == str(place.unit or ""), key


def test_keywords_are_the_same() -> None:
    for key, (_, place) in _fields().items():
        theirs = (place.field.json_schema_extra or {}).get("fits_keyword")
        if key in METADATA and key not in OTHER_KEYWORDS:
            assert METADATA[key].keywords[:1] == ((theirs,) if theirs else ()), key
        elif key in OTHER_KEYWORDS:
            assert (theirs, METADATA[key].keywords) == OTHER_KEYWORDS[key]


def test_flat_metadata_are_equal_values_and_types_included(products: list[Official]) -> None:
    keys: set[str] = set()
    for each in products[::20]:
        theirs = flatten_model_instance(each.product, separator="__", to_string=False)
        ours = each.metadata.to_wire()
        keys |= theirs.keys()
        assert ours.keys() == theirs.keys() - NOT_OURS
        for key, value in ours.items():
            if METADATA[key].type is ValueType.TIME:
                # Theirs has nanoseconds, ours microseconds.
                assert value == theirs[key][:26]
            else:
                assert (type(value), value) == (type(theirs[key]), theirs[key]), key
    assert len(keys) > 35
