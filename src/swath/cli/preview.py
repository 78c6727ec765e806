"""Define `swath preview`, which draws a run's detections over its scene."""

from __future__ import annotations

from swath.cli.console import print_line
from swath.cli.options import exports, inputs
from swath.errors import InputError, SceneError


def preview(
    run: exports.Run,
    *,
    target: exports.Target = "preview.png",
    scene: exports.PreviewScene = None,
    source: inputs.Sources = None,
    replace: exports.Replace = False,
) -> None:
    """Draw a run's detections over its scene, with close-ups and a legend, as a PNG file."""
    from swath import storage
    from swath.detection.open_named import open_any
    from swath.exports.preview import collect_best, draw_preview
    from swath.exports.selection import Selection
    from swath.exports.sources import read_files, read_scene_address

    if not replace and storage.exists(target):
        raise InputError(f"{target} exists; choose another file, or give --replace")
    drawn = collect_best(read_files(run, Selection()))
    shown = scene or [read_scene_address(run)]
    try:
        with open_any(shown, source or ()) as opened:
            draw_preview(opened, drawn, target)
    except SceneError as error:
        if scene:
            raise
        raise InputError(f"{error}; name the scene's present address with --scene-uri") from None
    total = sum(drawn.counts.values())
    print_line(f"{total} detections, {len(drawn.boxes)} of them drawn: {target}")
