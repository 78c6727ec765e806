"""The exports, and the detections of their own libraries on the tile."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import networks
import numpy as np
import torch
from networks import NAMES, SIZE


@dataclass
class Case:
    """An export, how it is made a package, and what its library finds."""

    path: Path
    library: Any
    classes: tuple[str, ...] | None = None
    scaling: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    objects: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None
    """Boxes (n, 4) in px, classes, scores."""
    label: Any = None
    """The class of each pixel; of the tile, with its score."""
    slack: float = 0.3
    """px and score."""


def ultralytics(
    folder: Path, config: str, *, classes: int = 5, mean: float = -4.0, **export: Any
) -> Case:
    """Export by Ultralytics' exporter; detect by its own network, NMS and defaults of predict."""
    networks.seed(0)
    made = networks.yolo(config, classes, mean=mean)
    model = made.model
    image = torch.from_numpy(networks.tile())[None].float() / 255
    settled = export.get("nms") is False
    if settled:
        model.end2end = True
    with torch.no_grad():
        found = model(image)
    if settled:
        model.end2end = False
    model.pt_path = str(folder / "network.pt")
    exported = made.export(format="onnx", imgsz=SIZE, simplify=False, verbose=False, **export)
    case = Case(Path(exported).rename(folder / "network.onnx"), "ultralytics")
    if made.task == "classify":
        chance = found[0] if isinstance(found, tuple) else found
        case.label = (int(chance[0].argmax()), float(chance[0].max()))
    else:
        if made.task == "obb" and not export:
            # The library's NMS of oriented boxes is by a measure of its own: without any.
            case.options = {"merge": {"strategy": "none"}}
        _detected(case, found, made.task, classes, raw=settled or config.startswith("rtdetr"))
    return case


def _detected(case: Case, found: Any, task: str, classes: int, *, raw: bool) -> None:
    """Note what a network of Ultralytics detects in the tile."""
    from ultralytics.utils import nms, ops  # noqa: PLC0415

    rows = found[0]
    protos = None
    if task == "segment":
        rows, protos = rows if isinstance(rows, tuple) else (rows, found[1])
        protos = protos[-1] if isinstance(protos, tuple) else protos
        protos = protos["proto"] if isinstance(protos, dict) else protos
    if raw:
        rows = rows[0][rows[0][:, 4] > 0.25]
        if rows[:, :4].max() < 2:
            rows = torch.cat([ops.xywh2xyxy(rows[:, :4]) * SIZE, rows[:, 4:]], dim=1)
    else:
        iou = 1.0 if task == "obb" and case.options else 0.7
        rows = nms.non_max_suppression(
            rows, 0.25, iou, nc=classes, rotated=task == "obb", max_det=300
        )[0]
    boxes, scores, labels = rows[:, :4], rows[:, 4].numpy(), rows[:, 5].numpy()
    if task == "obb":
        import shapely  # noqa: PLC0415

        corners = ops.xywhr2xyxyxyxy(torch.cat([boxes, rows[:, -1:]], dim=1)).numpy()
        shapes = shapely.intersection(shapely.polygons(corners), shapely.box(0, 0, SIZE, SIZE))
        case.objects = (shapely.bounds(shapes), labels, scores)
        inside = _inside(shapely.bounds(shapely.polygons(corners)))
    elif protos is not None:
        masks = ops.process_mask(protos[0], rows[:, 6:], boxes, (SIZE, SIZE), upsample=True)
        case.objects = envelopes(masks.numpy() > 0, labels, scores)
        # The library cuts masks at pixels' edges and swath at their centers: where the mask just
        # touches a side of the box, a blob of a prototype's pixel is gone.
        case.slack = 8.01
        return
    else:
        case.objects = (boxes.numpy(), labels, scores)
        inside = _inside(boxes.numpy())
    case.objects = tuple(part[inside] for part in case.objects)


def _inside(boxes: np.ndarray) -> np.ndarray:
    """Return whether boxes have their centers in the tile; others are no objects of it."""
    center = (boxes[:, :2] + boxes[:, 2:]) / 2
    return ((center >= 0) & (center <= SIZE)).all(axis=1)


def envelopes(
    masks: np.ndarray, labels: np.ndarray, scores: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the boxes around masks; those without a pixel are left out."""
    some = masks.any(axis=(1, 2))
    boxes = []
    for mask in masks[some]:
        rows, cols = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
        boxes.append((cols[0], rows[0], cols[-1] + 1, rows[-1] + 1))
    return np.array(boxes, float).reshape(-1, 4), labels[some], scores[some]


def torchvision_detector(folder: Path, name: str) -> Case:
    """Export one of torchvision's detectors, for one tile per call."""
    from torchvision.models import detection  # noqa: PLC0415

    networks.seed(1)
    model = getattr(detection, name)(
        weights=None, weights_backbone=None, num_classes=4, min_size=SIZE, max_size=SIZE
    ).eval()
    image = torch.from_numpy(networks.tile()).float() / 255

    def forward() -> Any:
        return model([image])

    networks.normalize(model, forward)
    if hasattr(model, "rpn"):
        networks.spread([model.rpn.head.cls_logits], forward, mean=0.0, std=1.0)
        networks.spread([model.roi_heads.box_predictor.cls_score], forward, mean=0.0, std=1.5)
    else:
        head = model.head.classification_head
        networks.spread([head.cls_logits], forward, mean=-4.0, std=1.2)
    with torch.no_grad():
        found = model([image])[0]
    path = folder / "detector.onnx"
    names = list(found)
    networks.to_onnx(networks.Tile(model), path, names, batch=False)
    threshold = 0.3
    # RetinaNet lists the background, too.
    kept = (found["scores"] >= threshold) & (found["labels"] > 0)
    boxes, labels, scores = (found[key][kept].numpy() for key in ("boxes", "labels", "scores"))
    objects = (boxes, labels - 1, scores)
    if "masks" in found:
        objects = envelopes(found["masks"][kept, 0].numpy() >= 0.5, labels - 1, scores)
    return Case(
        path,
        "torchvision",
        classes=NAMES[:3],
        options={"score_threshold": threshold},
        objects=objects,
        slack=1.01 if "masks" in found else 0.5,
    )


def torchvision_whole(folder: Path) -> Case:
    """Export a classifier of torchvision."""
    from torchvision.models import resnet18  # noqa: PLC0415

    networks.seed(2)
    model = resnet18(weights=None, num_classes=5).eval()
    image = torch.from_numpy(networks.tile())[None].float() / 255
    networks.normalize(model, lambda: model(image))
    with torch.no_grad():
        chance = model(image).softmax(1)[0].numpy()
    path = networks.to_onnx(model, folder / "resnet.onnx", ["logits"])
    label = (int(chance.argmax()), float(chance.max()))
    return Case(path, "torchvision", NAMES, "255", label=label)


def torchvision_pixels(folder: Path) -> Case:
    """Export a semantic segmentation of torchvision, with its auxiliary output."""
    from torchvision.models.segmentation import fcn_resnet50  # noqa: PLC0415

    networks.seed(3)
    model = fcn_resnet50(weights=None, weights_backbone=None, num_classes=4, aux_loss=True).eval()
    image = torch.from_numpy(networks.tile())[None].float() / 255
    networks.normalize(model, lambda: model(image))
    networks.spread([model.classifier[-1]], lambda: model(image), mean=0.0, std=2.0)
    with torch.no_grad():
        chance = model(image)["out"].softmax(1)[0].numpy()
    path = networks.to_onnx(model, folder / "fcn.onnx", ["out", "aux"])
    return Case(path, "torchvision", NAMES[:4], "255", label=_labels(chance))


def _labels(chance: np.ndarray, threshold: float = 0.5) -> np.ndarray:
    """Return the class of each pixel where its score reaches the threshold, else -1."""
    return np.where(chance.max(axis=0) >= threshold, chance.argmax(axis=0), -1)


def smp(folder: Path, *, classes: int, activation: str | None) -> Case:
    """Export a U-Net of segmentation-models-pytorch, with its activation inside or without."""
    import segmentation_models_pytorch as library  # noqa: PLC0415

    networks.seed(4)
    model = library.Unet(
        "resnet18", encoder_weights=None, classes=classes, activation=activation
    ).eval()
    image = torch.from_numpy(networks.tile())[None].float() / 255
    networks.normalize(model, lambda: model(image))
    networks.spread([model.segmentation_head[0]], lambda: model(image), mean=0.0, std=2.0)
    with torch.no_grad():
        found = model(image)
    if activation is None:
        found = found.sigmoid() if classes == 1 else found.softmax(1)
    path = networks.to_onnx(model, folder / "unet.onnx", ["mask"])
    return Case(path, "smp", NAMES[:classes], "255", label=_labels(found[0].numpy()))


def segformer(folder: Path) -> Case:
    """Export SegFormer, whose logits have a quarter of the resolution."""
    import transformers  # noqa: PLC0415

    networks.seed(5)
    config = transformers.SegformerConfig(
        id2label=dict(enumerate(NAMES[:4])), hidden_sizes=[16, 32, 64, 128], depths=[1, 1, 1, 1]
    )
    model = transformers.SegformerForSemanticSegmentation(config).eval()
    image = torch.from_numpy(networks.tile())[None].float() / 255
    networks.normalize(model, lambda: model(image))
    networks.spread([model.decode_head.classifier], lambda: model(image), mean=0.0, std=3.0)
    with torch.no_grad():
        logits = model(image).logits
        full = torch.nn.functional.interpolate(logits, (SIZE, SIZE), mode="bilinear")
    path = networks.to_onnx(networks.Outputs(model, "logits"), folder / "model.onnx", ["logits"])
    (folder / "config.json").write_text(config.to_json_string())
    label = _labels(full.softmax(1)[0].numpy())
    return Case(path, "transformers", scaling="255", label=label)


def _queries(folder: Path, model: Any, config: Any, *, focal: bool) -> Case:
    """Export a detector of transformers; its processor's own reading of its outputs."""
    image = torch.from_numpy(networks.tile())[None].float() / 255
    with torch.no_grad():
        found = model(image)
        if focal:
            score, label = found.logits.sigmoid()[0].max(1)
        else:
            score, label = found.logits.softmax(2)[0, :, :-1].max(1)
        center, side = found.pred_boxes[0].split(2, dim=1)
        box = torch.cat([center - side / 2, center + side / 2], dim=1) * SIZE
    kept = score >= 0.3
    names = ["logits", "pred_boxes"]
    path = networks.to_onnx(networks.Outputs(model, *names), folder / "model.onnx", names)
    (folder / "config.json").write_text(config.to_json_string())
    return Case(
        path,
        "transformers",
        scaling="255",
        options={"score_threshold": 0.3},
        objects=(box[kept].numpy(), label[kept].numpy(), score[kept].numpy()),
    )


def detr(folder: Path) -> Case:
    """Export DETR: a softmax with a last column for no object."""
    import transformers  # noqa: PLC0415

    networks.seed(6)
    backbone = transformers.ResNetConfig(
        depths=[1, 1, 1, 1], hidden_sizes=[16, 32, 64, 128], embedding_size=16, layer_type="basic",
        out_features=["stage4"],
    )  # fmt: skip
    config = transformers.DetrConfig(
        use_timm_backbone=False, backbone_config=backbone, use_pretrained_backbone=False,
        backbone=None, d_model=64, encoder_layers=1, decoder_layers=2, num_queries=60,
        encoder_ffn_dim=64, decoder_ffn_dim=64, encoder_attention_heads=4,
        decoder_attention_heads=4, id2label=dict(enumerate(NAMES)),
    )  # fmt: skip
    model = transformers.DetrForObjectDetection(config).eval()
    image = torch.from_numpy(networks.tile())[None].float() / 255
    networks.normalize(model, lambda: model(image))
    networks.spread([model.class_labels_classifier], lambda: model(image), mean=0.0, std=1.5)
    networks.spread([model.bbox_predictor.layers[-1]], lambda: model(image), mean=-0.5, std=1.2)
    return _queries(folder, model, config, focal=False)


def rt_detr(folder: Path) -> Case:
    """Export RT-DETR of transformers: a sigmoid a class."""
    import transformers  # noqa: PLC0415

    networks.seed(7)
    backbone = transformers.RTDetrResNetConfig(
        depths=[1, 1, 1, 1], hidden_sizes=[16, 32, 64, 128], embedding_size=16, layer_type="basic",
        out_features=["stage2", "stage3", "stage4"],
    )  # fmt: skip
    config = transformers.RTDetrConfig(
        backbone_config=backbone, backbone=None, use_pretrained_backbone=False, d_model=64,
        encoder_hidden_dim=64, encoder_in_channels=[32, 64, 128], decoder_in_channels=[64] * 3,
        num_queries=80, encoder_ffn_dim=64, decoder_ffn_dim=64, decoder_layers=2,
        encoder_attention_heads=4, decoder_attention_heads=4, id2label=dict(enumerate(NAMES)),
        feat_strides=[8, 16, 32], anchor_image_size=None,
    )  # fmt: skip
    model = transformers.RTDetrForObjectDetection(config).eval()
    image = torch.from_numpy(networks.tile())[None].float() / 255

    def forward() -> Any:
        return model(image)

    networks.normalize(model, forward)
    networks.spread([model.model.enc_score_head], forward, mean=-3.0, std=1.5)
    scores = model.class_embed if hasattr(model, "class_embed") else model.model.decoder.class_embed
    networks.spread(scores, forward, mean=-2.0, std=1.5)
    return _queries(folder, model, config, focal=True)


CASES: dict[str, Callable[[Path], Case]] = {
    "YOLOv8n": functools.partial(ultralytics, config="yolov8n.yaml"),
    "YOLOv8n, one class": functools.partial(ultralytics, config="yolov8n.yaml", classes=1),
    "YOLOv8n, two classes": functools.partial(ultralytics, config="yolov8n.yaml", classes=2),
    "YOLOv5nu": functools.partial(ultralytics, config="yolov5n.yaml", classes=2),
    "YOLOv8n-seg": functools.partial(ultralytics, config="yolov8n-seg.yaml"),
    "YOLOv8n-obb": functools.partial(ultralytics, config="yolov8n-obb.yaml"),
    "YOLOv8n-cls": functools.partial(ultralytics, config="yolov8n-cls.yaml"),
    "YOLO11n, NMS inside": functools.partial(ultralytics, config="yolo11n.yaml", nms=True),
    "YOLO11n, NMS inside, two classes": functools.partial(
        ultralytics, config="yolo11n.yaml", nms=True, classes=2
    ),
    "YOLO11n-obb, NMS inside": functools.partial(
        ultralytics, config="yolo11n-obb.yaml", nms=True, mean=-4.6
    ),
    "YOLOv10n, end to end": functools.partial(
        ultralytics, config="yolov10n.yaml", nms=False, mean=-4.4
    ),
    "YOLO26n": functools.partial(ultralytics, config="yolo26n.yaml"),
    "YOLO26n, end to end, two classes": functools.partial(
        ultralytics, config="yolo26n.yaml", nms=False, classes=2
    ),
    "RT-DETR of Ultralytics": functools.partial(ultralytics, config="rtdetr-l.yaml", mean=-3.2),
    "RT-DETR of Ultralytics, two classes": functools.partial(
        ultralytics, config="rtdetr-l.yaml", mean=-3.2, classes=2
    ),
    "Faster R-CNN": functools.partial(torchvision_detector, name="fasterrcnn_resnet50_fpn"),
    "Mask R-CNN": functools.partial(torchvision_detector, name="maskrcnn_resnet50_fpn"),
    "RetinaNet": functools.partial(torchvision_detector, name="retinanet_resnet50_fpn"),
    "ResNet-18": torchvision_whole,
    "FCN": torchvision_pixels,
    "U-Net": functools.partial(smp, classes=1, activation=None),
    "U-Net, four classes": functools.partial(smp, classes=4, activation=None),
    "U-Net with its sigmoid": functools.partial(smp, classes=1, activation="sigmoid"),
    "U-Net with its softmax": functools.partial(smp, classes=4, activation="softmax2d"),
    "SegFormer": segformer,
    "DETR": detr,
    "RT-DETR of transformers": rt_detr,
}
