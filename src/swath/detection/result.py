"""Provide the detections of a scene to Python programs as `swath.Detections`.

The engine works with the columns of `swath.detection.detections`. This module adds class names,
positions on Earth and conversions for other libraries.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely
import shapely.affinity

from swath import storage
from swath.detection import geoparquet
from swath.detection.detections import boxes_to_polygons
from swath.detection.geojson import to_features
from swath.detection.geoparquet import GeoParquetWriter
from swath.detection.picture import Layer, to_html
from swath.detection.scene_facts import SceneFacts
from swath.detection.spatial_order import center_cells, spatial_order
from swath.errors import SceneError
from swath.errors.extras import name_missing_extra
from swath.messages.run_warnings import gather_warnings, no_position_warning
from swath.raster.assets.open import open_model_scene
from swath.raster.assets.stack import BandNeeds, BandStack
from swath.raster.display import read_thumbnail
from swath.raster.footprint import footprint
from swath.raster.georeference import Georeferencer
from swath.raster.invalid_cells import CellGrid, InvalidCells
from swath.raster.polygons import PolygonArray
from swath.raster.valid_footprint import valid_area, valid_footprint, valid_outline

if TYPE_CHECKING:
    import geopandas
    from numpy.typing import NDArray

    from swath.detection.detect_scene import SceneDetections
    from swath.detection.detections import Detections as Rows
    from swath.messages import Acquisition, TileCounts
    from swath.models.mlm import ModelDescription

LON_LAT = "EPSG:4326"
THUMBNAIL_PX = 640
"""Maximum number of rows and of columns of the picture of a scene."""
_ITERATION_ROWS = 4096
"""Number of detections whose geometries are made at once."""


class Detection(NamedTuple):
    """One detection."""

    class_name: str
    """Name of its class."""
    score: float
    """Score, 0 to 1."""
    geometry: Any
    """shapely Polygon or MultiPolygon in `Detections.crs`: x is longitude, y is latitude."""
    box: tuple[float, float, float, float]
    """Bounding box x_min, y_min, x_max, y_max in px of the scene."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Detections:
    """All detections of one scene: the rows of a run's GeoParquet file, neighbors side by side.

    Attributes:
        scene: Address of the scene; `array` for an array.
        model: Name of the model.
        classes: Names of the model's classes, in the order of their labels.
        task: Task of the model, such as `detection` or `segmentation`.
        tiles: Counts of the scene's tiles.
        warnings: Sentences about what looks wrong with the scene.
        run_id: Identifier that `swath run` gives to the same scene, model and threshold.
        crs: `EPSG:4326`, with x as longitude. None if the scene has no position on Earth:
            geometries are then in px of the scene, y down.
    """

    scene: str
    model: str
    classes: tuple[str, ...]
    task: str
    tiles: TileCounts
    warnings: tuple[str, ...]
    run_id: str
    crs: str | None
    _rows: Rows
    _positions: PolygonArray
    _facts: SceneFacts
    _thumbnail_source: _ThumbnailSource

    @classmethod
    def from_scene_detections(
        cls,
        detected: SceneDetections,
        description: ModelDescription,
        *,
        run_id: str,
        etag: str = "",
        thumbnail: NDArray[np.uint8] | None = None,
        name: str | None = None,
    ) -> Detections:
        """Return the detections of a scene, with their positions on Earth.

        Args:
            detected: Detections of the scene, and the counts of its tiles.
            description: Description of the model package.
            run_id: Identifier of the run.
            etag: ETag of the scene; the picture is read only from a scene with this ETag.
            thumbnail: Colors (rows, cols, 3) of the scene; needed if its file will be removed.
            name: Name of the scene; needed if its file will be removed.
        """
        rows, scene, stack = detected.detections, detected.grid, detected.stack
        scene_name, scale = name or scene.uri, detected.pixel_scale
        warnings = [text.replace(scene.uri, scene_name) for text in detected.warnings]
        invalid = detected.invalid or InvalidCells(CellGrid(scene.width, scene.height))
        try:
            georeferencer = Georeferencer.from_info(scene)
            facts = SceneFacts(
                footprint=footprint(scene, georeferencer),
                valid_footprint=valid_footprint(scene, georeferencer, invalid),
                valid_area_m2=valid_area(georeferencer, invalid),
                acquisition=detected.acquisition,
            )
        except SceneError as error:
            crs, positions = None, _positions_in_pixels(rows.scaled(scale))
            facts = SceneFacts(
                footprint=shapely.box(0, 0, scene.width * scale[0], scene.height * scale[1]),
                valid_footprint=shapely.affinity.scale(
                    valid_outline(invalid), *scale, origin=(0, 0)
                ),
                acquisition=detected.acquisition,
            )
            lacks_georeference = name is not None and scene.crs is None
            reason = "pass crs and transform with the array" if lacks_georeference else error
            warnings.append(
                f"positions of {scene_name} are in pixels: "
                f"{str(reason).replace(scene.uri, scene_name)}"
            )
        else:
            crs, positions = LON_LAT, georeferencer.to_polygons(rows.box, rows.outline)
            on_earth = positions.is_valid
            warnings += no_position_warning(scene_name, len(rows) - int(on_earth.sum()))
            rows, positions = rows.take(on_earth), positions.take(on_earth)
            order = spatial_order(
                center_cells(positions.bounds()), tile=rows.tile, score=rows.score
            )
            rows, positions = rows.take(order), positions.take(order)
        return cls(
            scene=scene_name,
            model=description.name,
            classes=tuple(description.classes),
            task=description.task,
            tiles=detected.tiles,
            warnings=tuple(gather_warnings(warnings)),
            run_id=run_id,
            crs=crs,
            _rows=rows.scaled(scale),
            _positions=positions,
            _facts=facts,
            _thumbnail_source=_ThumbnailSource(
                width=scene.width * scale[0],
                etag=etag,
                needs=description.band_needs,
                stack=stack,
                thumbnail=thumbnail,
            ),
        )

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Detection]:
        for start in range(0, len(self), _ITERATION_ROWS):
            yield from self._iter_rows(slice(start, start + _ITERATION_ROWS))

    def __getitem__(self, number: int) -> Detection:
        """Return one detection by its row number.

        Raises:
            IndexError: There is no such row.
        """
        row = range(len(self))[number]
        return next(self._iter_rows(slice(row, row + 1)))

    def _iter_rows(self, part: slice) -> Iterator[Detection]:
        rows = self._rows.take(part)
        columns = (rows.label, rows.score, self._positions.take(part).to_shapely(), rows.box)
        for label, score, geometry, box in zip(*columns, strict=True):
            x0, y0, x1, y1 = box.tolist()
            yield Detection(self.classes[label], float(score), geometry, (x0, y0, x1, y1))

    def __repr__(self) -> str:
        counts = ", ".join(f"{count} {name}" for name, count in self.counts.items() if count)
        return f"<swath.Detections: {counts or 'nothing'} in {self.scene} by {self.model}>"

    @property
    def acquisition(self) -> Acquisition:
        """Acquisition of the scene: time in UTC, platform, angles; None where it is not known."""
        return self._facts.acquisition

    @property
    def valid_footprint(self) -> shapely.Geometry:
        """Outline in `crs` of the scene's valid pixels, a shapely Polygon or MultiPolygon.

        The result is an empty geometry if no pixel is valid.
        """
        return self._facts.valid_footprint

    @property
    def valid_area_m2(self) -> float | None:
        """Area of the scene's valid pixels on the ellipsoid in m²; None without a position."""
        return self._facts.valid_area_m2

    @property
    def scores(self) -> NDArray[np.float32]:
        """(n,) scores, 0 to 1."""
        return self._rows.score

    @property
    def labels(self) -> NDArray[np.int16]:
        """(n,) indices into `classes`."""
        return self._rows.label

    @property
    def boxes(self) -> NDArray[np.float64]:
        """(n, 4) bounding boxes x_min, y_min, x_max, y_max in px of the scene."""
        return self._rows.box

    @property
    def geometries(self) -> NDArray[np.object_]:
        """(n,) shapely Polygons or MultiPolygons in `crs`."""
        return self._positions.to_shapely()

    @property
    def counts(self) -> Mapping[str, int]:
        """Number of detections of each class, in the order of `classes`."""
        counts = np.bincount(self._rows.label, minlength=len(self.classes))
        return dict(zip(self.classes, counts.tolist(), strict=True))

    def to_arrow(self) -> pa.Table:
        """Return the columns and the metadata of a run's GeoParquet file, geometries as WKB."""
        content = pa.BufferOutputStream()
        self._write(content)
        with pq.ParquetFile(pa.BufferReader(content.getvalue())) as file:
            metadata = dict(file.metadata.metadata)
            # Arrow's own copy of the schema; the table has its own.
            del metadata[b"ARROW:schema"]
            return file.read().replace_schema_metadata(metadata)

    @name_missing_extra
    def to_geodataframe(self) -> geopandas.GeoDataFrame:
        """Return a GeoDataFrame with the columns of a run's GeoParquet file, less `bbox`.

        Raises:
            ModuleNotFoundError: geopandas, of the extra `geo`, is not installed.
        """
        import geopandas  # noqa: PLC0415 (the other forms do without it)

        columns = self.to_arrow().drop_columns(["geometry", "bbox"]).to_pandas()
        geometry = geopandas.GeoSeries(self.geometries, crs=self.crs)
        return geopandas.GeoDataFrame(columns, geometry=geometry, crs=self.crs)

    def to_geojson(self, path: str | Path | None = None) -> dict[str, Any]:
        """Return a GeoJSON FeatureCollection (RFC 7946), and write it if a path is given.

        If the scene has no position on Earth, positions are in px, and the member `"crs": null`
        marks them.

        Args:
            path: File or S3 URI to write.
        """
        collection = {
            "type": "FeatureCollection",
            **({} if self.crs else {"crs": None}),
            "features": to_features(
                self._rows,
                self.geometries,
                self.classes,
                {"acquired_at": self.acquisition.acquired_at},
            ),
        }
        text = msgspec.json.encode(collection)
        if path is not None:
            storage.write_bytes(str(path), text, content_type="application/geo+json")
        decoded: dict[str, Any] = msgspec.json.decode(text)
        return decoded

    def to_parquet(self, path: str | Path) -> None:
        """Write a GeoParquet 1.1 file, with the same bytes as a run's `detections.parquet`.

        Args:
            path: File or S3 URI to write.
        """
        with storage.writing(str(path), content_type=geoparquet.MEDIA_TYPE) as file:
            self._write(file)

    def _write(self, target: Path | pa.NativeFile) -> None:
        with GeoParquetWriter(
            target,
            classes=self.classes,
            run_id=self.run_id,
            scene=self.scene,
            model=self.model,
            facts=self._facts,
            on_earth=self.crs is not None,
        ) as out:
            out.write(self._rows, self._positions)

    def _repr_html_(self) -> str:
        thumbnail = self._thumbnail_source.read(self.scene)
        layer = Layer(
            rows=self._rows,
            scale=1.0 if thumbnail is None else thumbnail.shape[1] / self._thumbnail_source.width,
            is_filled=self.task == "segmentation",
        )
        return to_html(
            thumbnail, layer, scene=self.scene, model=self.model, counts=self.counts,
            warnings=self.warnings,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _ThumbnailSource:
    """Source of the picture of a scene."""

    width: float
    """Width of the scene in px."""
    etag: str
    """ETag of the scene's file."""
    needs: BandNeeds
    """Requirements of the model for the bands."""
    stack: BandStack | None
    """Files and grid of the scene; None for a file on its own grid."""
    thumbnail: NDArray[np.uint8] | None = field(repr=False)
    """Colors (rows, cols, 3) of the scene; None if they are read from its file."""

    def read(self, uri: str) -> NDArray[np.uint8] | None:
        """Return the colors (rows, cols, 3) of the scene; None if they cannot be read."""
        if self.thumbnail is not None:
            return self.thumbnail
        try:
            with open_model_scene(uri, self.needs, etag=self.etag, stack=self.stack) as opened:
                return read_thumbnail(opened.scene, self.needs.names, side=THUMBNAIL_PX)
        except Exception:  # noqa: BLE001 (a table is shown instead; displaying an object must not fail)
            return None


def _positions_in_pixels(rows: Rows) -> PolygonArray:
    """Return the positions of detections in px of the scene."""
    shapes = boxes_to_polygons(rows.box) if rows.outline is None else rows.outline
    return PolygonArray(PolygonArray.empty(len(rows)).quads, shapes)
