"""Print a forecast for people, within 80 columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from swath import storage
from swath.cli.console import print_line, print_table
from swath.cli.quantities import (
    format_bytes,
    format_count,
    format_dollar_range,
    format_dollars,
    format_seconds_range,
)
from swath.messages import Backend

if TYPE_CHECKING:
    from swath.pipeline.forecast.contents import BandForecast, FileForecast, Forecast
    from swath.pipeline.forecast.estimates import Estimate

_NOT_INCLUDED = "the database while it is awake, logs, storage, taxes and free tiers"


def print_forecast(forecast: Forecast, *, stack: str | None) -> None:
    """Print the facts, the bands and the estimates of a forecast.

    Args:
        forecast: Forecast of a run.
        stack: Name of the stack; None if the default settings apply.
    """
    print_table(_facts(forecast))
    print_line("")
    print_table(_bands(forecast))
    print_line("")
    print_table(_estimates(forecast))
    print_table(_notes(forecast, stack))


def _facts(forecast: Forecast) -> Table:
    table = _two_columns()
    for name, value in (
        ("scene", forecast.scene.identity),
        ("", _describe_grid(forecast)),
        ("", _describe_acquisition(forecast)),
        ("model", f"{forecast.model}, {forecast.digest[:12]}"),
        ("tiles", _describe_tiles(forecast)),
        ("reads", _describe_reads(forecast)),
        *(("", _describe_file(file)) for file in forecast.files if len(forecast.files) > 1),
        ("backend", f"{forecast.backend}, {format_count(forecast.shards, 'shard')}"),
        *(("transfer", text) for text in _describe_transfers(forecast)),
    ):
        if value:
            table.add_row(name, Text(value))
    return table


def _describe_grid(forecast: Forecast) -> str:
    scene = forecast.scene
    parts = [f"{scene.width:,} x {scene.height:,} px", scene.crs]
    if scene.ground_distance:
        x, y = scene.ground_distance
        same = abs(x - y) < _SAME_DISTANCE * max(x, y)
        parts.append(f"{x:.3g} m on the ground" if same else f"{x:.3g} x {y:.3g} m on the ground")
    if scene.scale != (1.0, 1.0):
        parts.append(f"resampled by {scene.scale[0]:.4g} x {scene.scale[1]:.4g}")
    return ", ".join(parts)


_SAME_DISTANCE = 0.01
"""Relative difference of two pixel sizes that is not shown."""


def _describe_acquisition(forecast: Forecast) -> str:
    acquisition = forecast.scene.acquisition
    parts = [
        f"acquired {acquisition.acquired_at}" if acquisition.acquired_at else "",
        f"by {acquisition.platform}" if acquisition.platform else "",
        f"{acquisition.cloud_cover:.0f}% cloud" if acquisition.cloud_cover is not None else "",
    ]
    return ", ".join(part for part in parts if part) or "the time of acquisition is not stated"


def _describe_tiles(forecast: Forecast) -> str:
    size = f"of {forecast.tile_size} px, {forecast.overlap} px overlap"
    text = f"{format_count(forecast.tiles, 'tile')} {size}"
    if forecast.skipped:
        text += f"; {forecast.skipped:,} without a valid pixel are skipped"
    return text


def _describe_reads(forecast: Forecast) -> str:
    total = sum(file.file_bytes for file in forecast.files)
    requests = sum(file.requests for file in forecast.files)
    text = f"{format_bytes(forecast.read_bytes)}, of {format_bytes(total)}"
    if forecast.is_exact:
        return f"{text}, in {format_count(requests, 'request')} to S3"
    return f"at most about {text}: the blocks of a file are not known before it is read"


def _describe_file(file: FileForecast) -> str:
    name = storage.file_name(file.uri)
    return f"{format_bytes(file.read_bytes)} of {name}{'' if file.is_exact else ' at most'}"


def _describe_transfers(forecast: Forecast) -> list[str]:
    texts = []
    for transfer in forecast.transfers:
        cost = "unknown" if transfer.dollars is None else format_dollars(transfer.dollars)
        payer = "the reader" if transfer.requester_pays else "the owner of the bucket"
        texts.append(
            f"{format_bytes(transfer.bytes)} from {transfer.source} to {transfer.target}; "
            f"cost {cost}, paid by {payer}"
        )
    return texts


def _bands(forecast: Forecast) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("band", overflow="fold")
    table.add_column("from", overflow="fold")
    table.add_column("unit", overflow="fold")
    for band in forecast.bands:
        table.add_row(Text(band.name), Text(_describe_origin(band)), Text(_describe_unit(band)))
    return table


def _describe_origin(band: BandForecast) -> str:
    origin = f"band {band.band} of {storage.file_name(band.uri)}"
    return f"{origin}, {band.resampling}" if band.resampling else origin


def _describe_unit(band: BandForecast) -> str:
    if not band.unit:
        return "not stated: taken to be the model's"
    text = f"{band.unit} (from the {band.unit_source})"
    return f"{text}; {band.conversion}" if band.conversion else text


def _estimates(forecast: Forecast) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("on", no_wrap=True)
    table.add_column("shards", justify="right")
    table.add_column("time", justify="right", no_wrap=True)
    table.add_column("cost", justify="right", no_wrap=True)
    for estimate in forecast.estimates:
        if estimate.is_deployed:
            chosen = estimate.backend is forecast.backend
            table.add_row(*_estimate_row(estimate), style="bold" if chosen else "")
    return table


def _estimate_row(estimate: Estimate) -> list[Text]:
    is_local = estimate.backend is Backend.LOCAL
    cells = (
        _label(estimate),
        f"{estimate.shards:,}",
        format_seconds_range(estimate.seconds),
        "" if is_local else format_dollar_range(estimate.dollars),
    )
    return [Text(cell) for cell in cells]


def _label(estimate: Estimate) -> str:
    return "this machine" if estimate.backend is Backend.LOCAL else str(estimate.backend)


def _notes(forecast: Forecast, stack: str | None) -> Table:
    table = _two_columns()
    table.add_row("", "")
    for name, value in (
        *(
            (_label(estimate), "; ".join(estimate.notes))
            for estimate in forecast.estimates
            if estimate.is_deployed and estimate.notes
        ),
        ("settings", f"those of the stack {stack}" if stack else "the defaults; see --stack"),
        ("speed", _describe_calibration(forecast)),
        ("prices", _describe_prices(forecast)),
        ("not included", _NOT_INCLUDED),
    ):
        table.add_row(name, Text(value))
    return table


def _describe_calibration(forecast: Forecast) -> str:
    measured = forecast.calibration
    if measured is None:
        return "not measured on this machine yet; add --calibrate for seconds and dollars"
    rate = 1 / measured.seconds_per_tile if measured.seconds_per_tile else 0.0
    where = "" if measured.scene == forecast.scene.uri else " of another scene"
    return (
        f"{rate:.3g} tiles/s here, and {measured.start_seconds:.1f} s to start, measured on "
        f"{format_count(measured.tiles, 'tile')}{where} at {measured.measured_at}; the other "
        "backends are scaled from the tiles"
    )


def _describe_prices(forecast: Forecast) -> str:
    prices = forecast.prices
    text = f"of {prices.region}, table of {prices.read_on}"
    if prices.is_default:
        text = f"of {prices.region}, as no region is set (AWS_REGION); table of {prices.read_on}"
    if prices.unverified:
        text += f"; not verified: {', '.join(prices.unverified)}"
    if prices.unknown:
        text += f"; unknown: {', '.join(prices.unknown)}"
    return text


def _two_columns() -> Table:
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    return table
