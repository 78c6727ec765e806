"""Detect the objects of an address, an open scene, a rasterio dataset or an array."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import UNSET
from rasterio.io import DatasetReader

from swath.detection.detect_scene import detect_opened, detect_scene, open_with_needs
from swath.detection.result import THUMBNAIL_PX, Detections
from swath.errors import SceneError, SwathError
from swath.items import SceneSources
from swath.items.references import reference
from swath.items.scene_arguments import SceneArgument, parse_scene
from swath.messages import (
    UNKNOWN_ACQUISITION,
    Acquisition,
    ModelRef,
    RunOptions,
    SceneRef,
    derive_run_id,
)
from swath.models.score_threshold import with_score_threshold
from swath.raster.assets.open import OpenedScene, open_model_scene
from swath.raster.display import read_thumbnail
from swath.raster.scene import Scene
from swath.raster.stated_acquisition import stated_acquisition
from swath.raster.write_image import open_array

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath.detection.detect_scene import ProgressCallback
    from swath.models.loaded_model import LoadedModel

ARRAY_SCENE_NAME = "array"
"""Scene name of an array."""
_GDAL_S3 = "/vsis3/"


def detect_any(
    scene: SceneArgument | Scene | DatasetReader | NDArray[Any],
    model: LoadedModel,
    options: RunOptions,
    *,
    sources: Collection[str] = (),
    crs: Any = None,
    transform: Sequence[float] | None = None,
    nodata: float | None = None,
    progress: ProgressCallback | None = None,
) -> Detections:
    """Detect the objects of a scene; `swath.detect` describes the arguments.

    Raises:
        SceneError: The scene cannot be read, or does not have the model's bands.
        SettingsError: The score threshold is below the package's own, or a source is invalid.
        ModelOutputError: The model failed on a tile.
    """
    if isinstance(scene, np.ndarray):
        georeference = {"crs": crs, "transform": transform, "nodata": nodata}
        return _detect_array(scene, model, options, progress, **georeference)
    if crs is not None or transform is not None or nodata is not None:
        raise SceneError("crs, transform and nodata apply only to an array; a file has its own")
    needs = model.description.band_needs
    if isinstance(scene, Scene):
        opening, ref = open_with_needs(scene, needs), None
        stated = UNKNOWN_ACQUISITION
    else:
        allowed = SceneSources.parse(sources)
        named = _dataset_uri(scene) if isinstance(scene, DatasetReader) else scene
        parsed = parse_scene(named, allowed)
        opening = open_model_scene(parsed, needs)
        ref = None if isinstance(parsed, str) else reference(parsed, dropped_at="")
        document = UNKNOWN_ACQUISITION if isinstance(parsed, str) else parsed.acquisition
        uri = parsed if isinstance(parsed, str) else parsed.uri
        stated, _ = stated_acquisition(uri, "", document)
    with opening as opened:
        return _detect_open(opened, ref, stated, model, options, progress)


def _detect_open(
    opened: OpenedScene,
    ref: SceneRef | None,
    stated: Acquisition,
    model: LoadedModel,
    options: RunOptions,
    progress: ProgressCallback | None,
) -> Detections:
    description, scene = _description_with_options(model, options), opened.scene
    detected = detect_opened(opened, description, model.runtime, stated=stated, progress=progress)
    ref = ref or _file_ref(opened)
    run_id = _run_id(ref, model, options)
    return Detections.from_scene_detections(detected, description, run_id=run_id, etag=scene.etag)


def _file_ref(opened: OpenedScene) -> SceneRef:
    """Return the reference to a scene of one file, which may be resampled."""
    scene, stack = opened.scene, opened.stack
    is_resampled = stack is not None and stack.scale != (1.0, 1.0)
    etag = stack.assets[0].etag if stack and is_resampled else scene.etag
    return SceneRef(uri=scene.info.uri, etag=etag, dropped_at="")


def _detect_array(
    pixels: NDArray[Any],
    model: LoadedModel,
    options: RunOptions,
    progress: ProgressCallback | None,
    **georeference: Any,
) -> Detections:
    description = _description_with_options(model, options)
    with open_array(pixels, description.bands, **georeference) as (scene, digest):
        uri = scene.info.uri
        try:
            detected = detect_scene(scene, description, model.runtime, progress=progress)
        except SwathError as error:
            # The caller does not know the file that holds the array.
            raise type(error)(str(error).replace(uri, "the array")) from error
        ref = SceneRef(uri=ARRAY_SCENE_NAME, etag=digest, dropped_at="")
        return Detections.from_scene_detections(
            detected,
            description,
            run_id=_run_id(ref, model, options),
            thumbnail=read_thumbnail(scene, description.bands, side=THUMBNAIL_PX),
            name=ARRAY_SCENE_NAME,
        )


def _description_with_options(model: LoadedModel, options: RunOptions) -> Any:
    if options.score_threshold is UNSET:
        return model.description
    return with_score_threshold(model.description, options.score_threshold)


def _run_id(scene: SceneRef, model: LoadedModel, options: RunOptions) -> str:
    """Return the identifier of a run with the same scene, model and options."""
    return derive_run_id(
        scene=scene,
        model=ModelRef(name=model.name, uri=model.uri, digest=model.package.digest),
        options=options,
    )


def _dataset_uri(dataset: DatasetReader) -> str:
    """Return the path or S3 URI of a dataset that rasterio opened.

    Raises:
        SceneError: The dataset is neither a file nor an object on S3.
    """
    name = str(dataset.name)
    if name.startswith(_GDAL_S3):
        return f"s3://{name.removeprefix(_GDAL_S3)}"
    if name.startswith("/vsi"):
        raise SceneError(
            f"{name} is neither a file nor an object on S3; pass its pixels, crs and transform"
        )
    return name
