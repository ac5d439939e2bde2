"""Names of processing and simulation: read, made, and refused where they go wrong."""

from __future__ import annotations

import pytest

from ctao_bdms.errors import InvalidNameError
from ctao_bdms.model import Lfn, Night, Particle, Release, Site, Value
from ctao_bdms.naming import DppsName, DppsPath, SimulationNode

OBSERVED = "dl1_evt_tel_AirShower_ob2000000001_tel001_chunk000.h5"
SIMULATED = "dl2_evt_sub_AirShowerSim_south_geometry+energy+gammaness_sub003_He4_nsb10.0_zen050.0_az180.0.h5"
OF_THE_BLOCK = "/ctao/dpps/DataPipe/Observation/DR1/CTAO-North/DL1/Event/2025/10/30/ob2000000001"
OF_THE_NODE = "/ctao/dpps/DataPipe/Simulation/Prod8/CTAO-South/DL2/Event/He4/node-nsb10.0-zen050.0-az180.0"


@pytest.mark.parametrize(
    "text",
    [
        OBSERVED,
        SIMULATED,
        "dl3_evt_sub_Observation_ob2000000001.fits.gz",
        "dl1_mon_arr_Weather_north_night20251030.h5",
        "dl1_svc_arr_ContemporaryAtmosphere_sdmc-dpps_night20251030.ecsv",
        "dl2_svc_sub_RecoModel_south_gammaness_nsb01.0_zen020.0_az000.0.pkl",
        "r0_evt_sub_AirShowerSim_ob4000000186_e-_nsb05.0_zen020.0_az180.0.simtel.zst",
        "dl0_evt_tel_AirShower_ob12000000001_ace025_chunk1000_SDH001.fits.fz",
        "dl3_svc_sub_GridIRF_north_sub001_nsb01.0_ha-01.5h_dec022.0d.h5",
        "dl5_mod_tar_SkyModel_external.yaml",
        "dl4_bin_reg_CountsMap_hq.fits",
        "dl6_cat_arr_SourceCatalog_sdmc-suss.fits",
        "sim_svc_arr_Trigger_north.json",
    ],
)
def test_names_come_back_exactly(text: str) -> None:
    assert str(DppsName.parse(text)) == text


def test_the_parts_of_a_name() -> None:
    name = DppsName.parse(SIMULATED)
    assert str(name.kind) == "DL2/Event/Subarray/AirShowerSim"
    assert (name.site, name.obs_id, name.subarray_id, name.particle) == (Site.SOUTH, None, 3, Particle(1000020040))
    assert name.sublevels == ("geometry", "energy", "gammaness")
    assert name.node == SimulationNode(10, 50, 180)
    assert DppsName.parse("dl1_mon_arr_Weather_north_night20251030.h5").night == Night.parse("2025-10-30")


@pytest.mark.parametrize(
    ("text", "at", "hint"),
    [
        ("dl7_evt_tel_AirShower_ob2000000001.h5", "dl7", "data level"),
        ("dl1_event_tel_AirShower_ob2000000001.h5", "_event", "evt, mon"),
        ("dl1_evt_lst_AirShower_ob2000000001.h5", "_lst", "arr, sub"),
        ("dl1_evt_tel_Airshower_ob2000000001.h5", "_Airshower", "product type"),
        ("dl1_bin_tel_AirShower_ob2000000001.h5", "bin", "begin at DL4"),
        ("dl1_evt_tel_AirShower_ob200000001.h5", "_ob2", "_ob"),
        ("dl1_evt_tel_AirShower_ob02000000001.h5", "1.h5", "extension"),
        ("dl1_evt_tel_AirShower_ob2000000001_north.h5", "_north", "neither site nor night"),
        ("dl1_evt_tel_AirShower_ob2000000001_chunk000_tel001.h5", "_tel001", "extension"),
        ("dl1_mon_arr_Weather_north_night20251330.h5", "20251330", "no date"),
        ("dl2_svc_sub_RecoModel_south_energy+geometry.h5", "energy+", "order"),
        ("dl2_svc_sub_RecoModel_south_energy+colour.h5", "+colour", "extension"),
        ("dl2_svc_sub_RecoModel_south_nsb1.0_zen020.0_az000.0.h5", "1.0_zen", "nsb01.0"),
        ("dl2_svc_sub_RecoModel_south_nsb01.0_zen20.0_az000.0.h5", "20.0", "zen020.0"),
        ("dl2_svc_sub_RecoModel_south_zen020.0_az000.0.h5", "_zen", "_nsb"),
        ("dl2_evt_sub_AirShowerSim_south_Xx4_nsb01.0_zen020.0_az000.0.h5", "Xx4", "a particle"),
        (OBSERVED + "\n", ".h5", "extension"),
        ("", "", "data level"),
        ("dl2_svc_sub_RecoModel_hq_nsb01.0_zen020.0_az000.0_ha001.0h_dec001.0d.h5", "_ha", "either"),
    ],
)
def test_an_almost_right_name_is_told_where_it_goes_wrong(text: str, at: str, hint: str) -> None:
    with pytest.raises(InvalidNameError) as caught:
        DppsName.parse(text)
    assert hint in caught.value.reason
    assert caught.value.position == text.index(at)


def test_paths_come_back_exactly_and_say_what_they_mean() -> None:
    lfn = Lfn(f"{OF_THE_BLOCK}/{OBSERVED}")
    path = DppsPath.parse(lfn)
    assert path.lfn == lfn
    assert (path.release, path.site, path.night) == (
        Release("DataPipe/Observation/DR1"),
        Site.NORTH,
        Night.parse("2025-10-30"),
    )
    lfn = Lfn(f"{OF_THE_NODE}/{SIMULATED}")
    assert DppsPath.parse(lfn).lfn == lfn


@pytest.mark.parametrize(
    ("lfn", "area", "release"),
    [
        ("/ctao/dpps/ShortTerm/DPPS/CalibPipe/DR1/CTAO-North/DL3/Event/x", ("ShortTerm", "DPPS"), "CalibPipe/DR1"),
        ("/ctao/dpps/CTAO/DL3-DR1/CTAO-North/DL3/Event/x", (), "CTAO/DL3-DR1"),
    ],
)
def test_the_release_begins_at_its_pipe_or_behind_the_scope(lfn: str, area: tuple[str, ...], release: str) -> None:
    path = DppsPath.parse(Lfn(lfn.replace("/x", "/dl3_evt_sub_Observation_ob2000000001.fits.gz")))
    assert (path.area, path.release.text) == (area, release)


def test_a_node_says_more_in_its_directory_than_in_the_name() -> None:
    folder = "/ctao/dpps/SimPipe/Prod8/CTAO-North/DL3/Service/node-nsb01.0-zen020.0-az180.0-ha001.5h-dec022.0d"
    lfn = Lfn(f"{folder}/dl3_svc_sub_GridIRF_north_sub001_nsb01.0_ha001.5h_dec022.0d.h5")
    path = DppsPath.parse(lfn)
    assert path.lfn == lfn
    assert path.node == SimulationNode(1, 20, 180, 1.5, 22)


@pytest.mark.parametrize(
    ("lfn", "at", "hint"),
    [
        (f"{OF_THE_BLOCK}/{OBSERVED}".replace("CTAO-North", "CTAO-Nrth"), "CTAO-Nrth", "did you mean CTAO-North"),
        (f"{OF_THE_BLOCK}/{OBSERVED}".replace("/DL1/", "/DLl/"), "DLl", "data level"),
        (f"{OF_THE_BLOCK}/{OBSERVED}".replace("/DL1/", "/DL2/"), "DL2", "should be 'DL1'"),
        (f"{OF_THE_BLOCK}/{OBSERVED}".replace("/Event/", "/Monitoring/"), "Monitoring", "should be 'Event'"),
        (f"{OF_THE_BLOCK}/{OBSERVED}".replace("/ob2000000001", "/ob2000000002"), "ob2000000002", "ob2000000001"),
        (f"{OF_THE_BLOCK}/{OBSERVED}".replace("/ob2000000001", ""), "dl1_evt", "a further directory"),
        (f"{OF_THE_BLOCK}/more/{OBSERVED}", "more", "one too many"),
        (f"{OF_THE_BLOCK}/{OBSERVED}".replace("10/30", "10/32"), "2025", "no date"),
        (f"{OF_THE_BLOCK}/{OBSERVED[:-3]}.5", ".5", "extension"),
        (f"{OF_THE_NODE}/{SIMULATED}".replace("/He4/", "/p/"), "p/", "should be 'He4'"),
        (f"{OF_THE_NODE}/{SIMULATED}".replace("-zen050.0", "-zen060.0"), "node-", "zen050.0"),
        (f"{OF_THE_NODE}/{SIMULATED}".replace("-zen050.0", "-zen50.0"), "node-", "zen050.0"),
        (f"{OF_THE_NODE}/{SIMULATED}".replace("CTAO-South", "CTAO-North"), "CTAO-North", "should be 'CTAO-South'"),
        ("/ctao/dpps/CTAO-North/DL3/Event/dl3_evt_sub_Observation_ob2000000001.h5", "CTAO-North", "release"),
        ("/ctao/dpps/dl3_evt_sub_Observation_ob2000000001.h5", "/dl3", "site"),
        ("/ctao/dpps/DR1/CTAO-North/DL5/Model/dl5_mod_tar_SkyModel.h5", "dl5", "its site"),
    ],
)
def test_a_wrong_component_is_pointed_at(lfn: str, at: str, hint: str) -> None:
    with pytest.raises(InvalidNameError) as caught:
        DppsPath.parse(Lfn(lfn))
    assert hint in caught.value.reason
    assert caught.value.position == lfn.index(at)


def test_metadata_give_name_and_place() -> None:
    metadata: dict[str, Value] = {
        "data__level": "DL2",
        "data__division": "Event",
        "data__association": "Subarray",
        "data__type": "AirShowerSim",
        "curation__release": "DataPipe/Simulation/Prod8",
        "instance__site_id": "CTAO-South",
        "instance__subarray_id": 3,
        "instance__particle_pdgid": 1000020040,
        "instance__sublevel_id": "GEOMETRY|ENERGY|GAMMANESS",
        "simulation__node__nsb_factor": 10.0,
        "simulation__node__zenith": 50.0,
        "simulation__node__azimuth": 180.0,
    }
    assert str(DppsPath.of(metadata, "ctao", "dpps").lfn) == f"{OF_THE_NODE}/{SIMULATED}"


def test_angles_are_rounded_to_what_a_name_can_say() -> None:
    assert SimulationNode(1, 20.04, 180) == SimulationNode(1, 20.0, 180)
    assert SimulationNode(1, None, None, -0.04, 0).pieces == ("nsb01.0", "ha000.0h", "dec000.0d")
