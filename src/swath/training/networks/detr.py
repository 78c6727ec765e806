"""Define RT-DETRv2 and D-FINE, detectors of the transformers library that need no NMS."""

# mypy: allow-subclassing-any, allow-untyped-calls
# (torch has no types if it is not installed, and some of its functions are untyped even if it is)

from __future__ import annotations

import copy
import importlib
from typing import Any

import torch
from torch import Tensor, nn

from swath.errors import InputError
from swath.packaging.write_mlm import PackageOutput
from swath.training.networks.network import HeadSpec, Network, Targets
from swath.training.networks.transformers_models import LibraryModel, load_library_model

_ENCODER_STAGES = ["stage2", "stage3", "stage4"]
"""Stages of the encoder whose features the decoder uses."""
_STRIDES = (8, 16, 32)
"""Strides of these stages in px."""
_MIN_LAYERS = 2
"""Minimum number of decoder layers."""


class Detr(Network):
    """A detector whose queries each predict one object, on top of a convolutional encoder.

    The loss is the library's, which matches objects to queries one to one. It treats crowd regions
    and invalid pixels as background, so detections within them are penalized.
    """

    architecture: str
    """Name of the architecture in packages."""
    library_classes: tuple[str, str]
    """Names of the library's classes of the model and of its configuration."""
    stage_channels: tuple[int, int, int]
    """Numbers of channels of the encoder's last three stages."""

    def __init__(
        self,
        *,
        bands: int,
        classes: int,
        size: int,
        pretrained: str | None = None,
        queries: int = 100,
        layers: int = 3,
    ) -> None:
        """Create a detector.

        Args:
            bands: Number of bands of the tiles.
            classes: Number of classes of objects.
            size: Tile size in px, a multiple of 32.
            pretrained: Folder with weights and their configuration, in the library's layout.
                Weights that do not fit the bands and classes are random. None for random weights.
            queries: Maximum number of objects per tile, limited to the number of cells.
            layers: Number of decoder layers, at least 2 because the library ties the later ones to
                the first.

        Raises:
            InputError: The pretrained weights cannot be read, or there are too few layers.
        """
        super().__init__()
        if layers < _MIN_LAYERS:
            raise InputError(f"layers is {layers}; the minimum is {_MIN_LAYERS}")
        self.classes, self.size = classes, size
        self.queries = min(queries, sum((size // step) ** 2 for step in _STRIDES))
        model, config = self.library_classes
        self.model = load_library_model(
            LibraryModel(model, config, pretrained),
            config={
                "num_labels": classes,
                "num_queries": self.queries,
                # Denoising queries come from the ground truth, so outputs would depend on it.
                "num_denoising": 0,
                "anchor_image_size": [size, size],
                **self._backbone_options(bands, pretrained),
            },
            # Running statistics of random weights must not be frozen.
            random_config={
                "decoder_layers": layers,
                "freeze_backbone_batch_norms": False,
                "encoder_in_channels": list(self.stage_channels),
            },
        )

    def backbone_config(self, bands: int) -> Any:
        """Return the configuration of a small encoder for the given number of bands."""
        raise NotImplementedError

    def _backbone_options(self, bands: int, pretrained: str | None) -> dict[str, Any]:
        if pretrained is None:
            return {"backbone_config": self.backbone_config(bands)}
        library: Any = importlib.import_module("transformers")
        config = getattr(library, self.library_classes[1]).from_pretrained(
            pretrained, local_files_only=True
        )
        config.backbone_config.num_channels = bands
        return {"backbone_config": config.backbone_config}

    def forward(self, x: Tensor) -> Any:
        """Return the library's outputs for scaled tiles (batch, bands, size, size)."""
        return self.model(pixel_values=x)

    def loss(self, outputs: Any, targets: Targets) -> dict[str, Tensor]:
        """Return the parts of the library's loss by name, each summed over all decoder layers."""
        size = targets.valid.shape[-1]
        labels = [
            {"class_labels": classes[~crowd], "boxes": _normalize_boxes(boxes[~crowd], size)}
            for boxes, classes, crowd in zip(
                targets.boxes, targets.classes, targets.crowd, strict=True
            )
        ]
        _, parts, _ = self.model.loss_function(
            outputs.logits,
            labels,
            outputs.logits.device,
            outputs.pred_boxes,
            self.model.config,
            outputs.intermediate_logits,
            outputs.intermediate_reference_points,
            enc_topk_logits=outputs.enc_topk_logits,
            enc_topk_bboxes=outputs.enc_topk_bboxes,
            predicted_corners=outputs.intermediate_predicted_corners,
            initial_reference_points=outputs.initial_reference_points,
        )
        sums: dict[str, Tensor] = {}
        for name, value in parts.items():
            kind = name.removeprefix("loss_").split("_aux_")[0].split("_dn_")[0]
            sums[kind] = sums[kind] + value if kind in sums else value
        return sums

    def exported(self) -> nn.Module:
        """Return a copy for export, which maps tiles to logits and boxes; see `DetrExport`."""
        return DetrExport(copy.deepcopy(self.model).eval())

    def head(self) -> HeadSpec:
        """Describe the exported outputs: sigmoid logits per class, normalized `cxcywh` boxes."""
        logits = PackageOutput(
            name="logits", shape=(-1, self.queries, self.classes), axes=("batch", "query", "class")
        )
        boxes = PackageOutput(
            name="boxes", shape=(-1, self.queries, 4), axes=("batch", "query", "coordinate")
        )
        return HeadSpec(
            architecture=self.architecture,
            task="object-detection",
            outputs=(logits, boxes),
            hyperparameters={
                "head": "detr",
                "score_activation": "sigmoid",
                "score_threshold": 0.3,
                "merge": {"strategy": "none"},
            },
        )


class RtDetrV2(Detr):
    """RT-DETRv2 (Lv et al. 2024, https://arxiv.org/abs/2407.17140), on a ResNet-18."""

    architecture = "RT-DETRv2"
    library_classes = ("RTDetrV2ForObjectDetection", "RTDetrV2Config")
    stage_channels = (128, 256, 512)

    def backbone_config(self, bands: int) -> Any:
        """Return the configuration of a ResNet-18."""
        library: Any = importlib.import_module("transformers")
        return library.RTDetrResNetConfig(
            num_channels=bands,
            layer_type="basic",
            depths=[2, 2, 2, 2],
            hidden_sizes=[64, 128, 256, 512],
            out_features=_ENCODER_STAGES,
        )


class DFine(Detr):
    """D-FINE (Peng et al. 2024, https://arxiv.org/abs/2410.13842), on an HGNetV2-B0."""

    architecture = "D-FINE"
    library_classes = ("DFineForObjectDetection", "DFineConfig")
    stage_channels = (256, 512, 1024)

    def backbone_config(self, bands: int) -> Any:
        """Return the configuration of an HGNetV2-B0."""
        library: Any = importlib.import_module("transformers")
        return library.HGNetV2Config(
            num_channels=bands,
            stem_channels=[bands, 16, 16],
            stage_in_channels=[16, 64, 256, 512],
            stage_mid_channels=[16, 32, 64, 128],
            stage_out_channels=[64, 256, 512, 1024],
            stage_num_blocks=[1, 1, 2, 1],
            stage_numb_of_layers=[3, 3, 3, 3],
            use_learnable_affine_block=True,
            hidden_sizes=[64, 256, 512, 1024],
            out_features=_ENCODER_STAGES,
        )


class DetrExport(nn.Module):
    """Exported form of a detector."""

    strict = True
    """Argument `strict` of torch.export.

    The library calls `len` on a batch. Without strict mode, which analyzes the bytecode, the
    exporter would take the batch size for a constant.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, tiles: Tensor) -> tuple[Tensor, Tensor]:
        """Map scaled tiles (batch, bands, size, size) to logits and boxes.

        The results are logits (batch, queries, classes) and boxes (batch, queries, 4): cx, cy, w, h
        as fractions of the tile size.
        """
        output = self.model(pixel_values=tiles)
        return output.logits, output.pred_boxes


def _normalize_boxes(boxes: Tensor, size: int) -> Tensor:
    """Convert boxes (n, 4) from corners in px to cx, cy, w, h as fractions of the tile size."""
    low, high = boxes[:, :2], boxes[:, 2:]
    shares: Tensor = torch.cat([(low + high) / 2, high - low], dim=1) / size
    return shares
