"""The content of a DL0 file: the header cards of the data model, and the rows of its tables."""

from __future__ import annotations

import importlib
import uuid
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ctao_bdms.model import Site
from ctao_bdms.testing.dl0_spec import Dl0Kind

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Iterator

    from ctao_bdms.testing.dl0_spec import Dl0Spec

__all__ = ["stamp", "tables"]

Cards: TypeAlias = "dict[str, str | int]"

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://www.ctao.org/dl0")
_TELESCOPES = (1, 2, 3, 4)
_ASSOCIATION_AND_TYPE = {
    Dl0Kind.TELESCOPE: ("Telescope", "AirShower"),
    Dl0Kind.SUBARRAY: ("Subarray", "Trigger"),
    Dl0Kind.TRIGGER: ("Subarray", "TelescopeTriggers"),
}


def stamp(instant: dt.datetime) -> str:
    """Return `instant` (UTC) in the time format of FITS."""
    return instant.strftime("%Y-%m-%dT%H:%M:%S")


def tables(spec: Dl0Spec) -> Iterator[tuple[str, Cards, Iterable[Any]]]:
    """Yield the tables of a file in their order: name, header cards, and the messages of its rows."""
    messages = importlib.import_module(f"protozfits.DL0v1_{spec.kind.value}_pb2")
    any_array = importlib.import_module("protozfits.anyarray").numpy_to_any_array
    cards = _cards(spec)
    ids = {"sb_id": spec.sb_id, "obs_id": spec.obs_id}
    if spec.kind is Dl0Kind.SUBARRAY:
        yield "DataStream", cards, [messages.DataStream(subarray_id=spec.subarray_id, **ids)]
        yield "SubarrayEvents", {}, _subarray_events(spec, messages.Event, any_array)
    elif spec.kind is Dl0Kind.TRIGGER:
        telescopes = any_array(np.array(_TELESCOPES, dtype=np.uint16))
        yield "DataStream", cards, [messages.DataStream(tel_ids=telescopes, **ids)]
        yield "Triggers", {}, _triggers(spec, messages.Trigger)
    else:
        yield "DataStream", cards, [messages.DataStream(tel_id=spec.ae_id, waveform_scale=1.0, **ids)]
        yield "CameraConfiguration", {}, [_camera(spec, messages.CameraConfiguration, any_array)]
        yield "Events", {}, _telescope_events(spec, messages.Event, any_array)


def _cards(spec: Dl0Spec) -> Cards:
    """Return the cards of the data model (DataProducts 2.1) that identify the product."""
    association, product_type = _ASSOCIATION_AND_TYPE[spec.kind]
    cards: Cards = {
        "CTAOMETA": "2.1.0",
        "TITLE": f"DL0 {spec.kind.value.lower()} events, made for tests",
        "DATALEVL": "DL0",
        "DATADIV": "Event",
        "DATAASSO": association,
        "DATATYPE": product_type,
        "DATAID": str(uuid.uuid5(_NAMESPACE, f"{spec.name} {spec.seed}")),
        "DATASRC": spec.name.source,
        "MODEL": "DL0v1",
        "MODELVER": "1.0.0",
        "TELESCOP": "CTAO",
        "INSTRUME": Site.NORTH.value,
        "OBS_ID": spec.obs_id,
        "SB_ID": spec.sb_id,
        "SUB_ID": spec.subarray_id,
        "CHUNK_ID": spec.chunk,
        "OBSNIGHT": str(spec.night),
        "DATE-BEG": stamp(spec.start),
        "LICENSE": "CC-BY-4.0",
        "LICENURL": "https://creativecommons.org/licenses/by/4.0/",
        "CREATED": stamp(spec.stop),
        "AUTHOR": "ACADA",
        "EMAIL": "acada@example.org",
        "ACTPROC": "Observation",
        "ACTIVITY": "DataAcquisition",
        "ACTID": str(uuid.uuid5(_NAMESPACE, f"observation {spec.obs_id}")),
        "ACTSTART": stamp(spec.start),
        "ACTCONF": "default",
        "SOFTWARE": "ctao_bdms.testing.dl0",
        "SOFTVER": "1",
    }
    if spec.kind is Dl0Kind.TELESCOPE:
        cards["AE_ID"] = spec.ae_id
    return cards


def _random(spec: Dl0Spec) -> np.random.Generator:
    """Return the random generator of the content, different for every file of a night."""
    kinds = list(Dl0Kind)
    return np.random.default_rng([spec.seed, kinds.index(spec.kind), spec.ae_id, spec.obs_id, spec.chunk])


def _times(spec: Dl0Spec, random: np.random.Generator) -> Iterator[tuple[int, dict[str, int]]]:
    """Yield number and time of each event: whole seconds, and quarters of nanoseconds."""
    span_qns = int((spec.stop - spec.start).total_seconds() * 4_000_000_000)
    first = spec.chunk * spec.events + 1
    for number, qns in enumerate(np.sort(random.integers(0, span_qns, spec.events)).tolist(), first):
        seconds, rest = divmod(qns, 4_000_000_000)
        yield number, {"time_s": int(spec.start.timestamp()) + seconds, "time_qns": rest}


def _camera(spec: Dl0Spec, message: Any, any_array: Any) -> Any:  # noqa: ANN401 - classes made at run time
    return message(
        tel_id=spec.ae_id,
        local_run_id=spec.chunk + 1,
        config_time_s=spec.start.timestamp(),
        camera_config_id=1,
        pixel_id_map=any_array(np.arange(spec.pixels, dtype=np.uint16)),
        num_pixels=spec.pixels,
        num_channels=1,
        num_samples_nominal=spec.samples,
        sampling_frequency=1024,
        data_model_version="1.0",
    )


def _telescope_events(spec: Dl0Spec, message: Any, any_array: Any) -> Iterator[Any]:  # noqa: ANN401
    """Yield camera events: 12-bit samples of noise."""
    random = _random(spec)
    status = any_array(np.full(spec.pixels, 0b1100, dtype=np.uint8))
    for number, time in _times(spec, random):
        samples = random.integers(0, 4096, spec.pixels * spec.samples, dtype=np.uint16)
        yield message(
            event_id=number,
            tel_id=spec.ae_id,
            event_type=32,
            event_time_s=time["time_s"],
            event_time_qns=time["time_qns"],
            pixel_status=status,
            num_channels=1,
            num_samples=spec.samples,
            num_pixels_survived=spec.pixels,
            waveform=any_array(samples),
        )


def _subarray_events(spec: Dl0Spec, message: Any, any_array: Any) -> Iterator[Any]:  # noqa: ANN401
    """Yield subarray events: the telescopes that saw them."""
    random = _random(spec)
    for number, time in _times(spec, random):
        seen = any_array(np.sort(random.permutation(_TELESCOPES)[: random.integers(1, 5)]).astype(np.uint16))
        yield message(
            event_id=number,
            trigger_type=1,
            sb_id=spec.sb_id,
            obs_id=spec.obs_id,
            event_time_s=time["time_s"],
            event_time_qns=time["time_qns"],
            trigger_ids=seen,
            tel_ids_with_trigger=seen,
            tel_ids_with_data=seen,
        )


def _triggers(spec: Dl0Spec, message: Any) -> Iterator[Any]:  # noqa: ANN401
    """Yield triggers of single telescopes."""
    random = _random(spec)
    for number, time in _times(spec, random):
        yield message(
            tel_id=int(random.choice(_TELESCOPES)),
            trigger_id=number,
            trigger_type=1,
            trigger_time_s=time["time_s"],
            trigger_time_qns=time["time_qns"],
            readout_requested=True,
            data_available=True,
            hardware_stereo_trigger_mask=1,
        )
