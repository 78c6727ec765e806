"""Small networks whose answers are known beforehand, one for each task: ONNX, in its text form.

They take tiles of one band, whose numbers the package divides by 100.
"""

import numpy as np
from onnx import checker, parser

from tests.helpers.packages import TILE

_SIDE = ",".join(str(i + 1) for i in range(TILE))
_BACK = ",".join(str(TILE - i) for i in range(TILE))

# Each of the numbers 1, 2 and 3 in a tile is an object: its pixels are its mask.
_OBJECTS = """
  numbers = Mul(image, hundred)
  rounded = Round(numbers)
  same = Equal(rounded, values)
  mask = Cast<to=1>(same)
  present = ReduceMax<axes=[2, 3], keepdims=0>(mask)
  score = Mul(present, high)
  right = Mul(mask, columns)
  x1 = ReduceMax<axes=[2, 3], keepdims=0>(right)
  left = Mul(mask, columns_back)
  from_right = ReduceMax<axes=[2, 3], keepdims=0>(left)
  x0 = Sub(side, from_right)
  low = Mul(mask, rows)
  y1 = ReduceMax<axes=[2, 3], keepdims=0>(low)
  high_up = Mul(mask, rows_back)
  from_below = ReduceMax<axes=[2, 3], keepdims=0>(high_up)
  y0 = Sub(side, from_below)
"""
_CONSTANTS = f"""
  float hundred = {{100}}, float high = {{0.9}}, float side = {{{TILE}}}, float half = {{0.5}},
  float one = {{1}}, float twenty = {{20}}, float zero = {{0}},
  float[1,3,1,1] values = {{1, 2, 3}}, int64[1] first = {{0}}, int64[1] second = {{1}},
  int64[1] last = {{-1}}, int64[3] ones = {{1, 1, 1}},
  float[1,3,3] identity = {{1, 0, 0, 0, 1, 0, 0, 0, 1}},
  float[1,1,1,{TILE}] columns = {{{_SIDE}}}, float[1,1,1,{TILE}] columns_back = {{{_BACK}}},
  float[1,1,{TILE},1] rows = {{{_SIDE}}}, float[1,1,{TILE},1] rows_back = {{{_BACK}}}
"""


def _net(outputs, body, *, batch="b", constants=_CONSTANTS) -> bytes:
    model = parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : 17]>
        net (float[{batch},1,{TILE},{TILE}] image) => ({outputs})
        <{constants}> {{ {body} }}"""
    )
    checker.check_model(model)
    return model.SerializeToString()


def two_classes() -> bytes:
    """Semantic segmentation: the score of the second class is the pixel."""
    body = "nothing = Sub(one, image) scores = Concat<axis=1>(nothing, image)"
    return _net(f"float[b,2,{TILE},{TILE}] scores", body)


def label_map() -> bytes:
    """Semantic segmentation: the pixel is the number of its class."""
    body = """numbers = Mul(image, hundred) rounded = Round(numbers)
    flat = Squeeze(rounded, second) labels = Cast<to=2>(flat)"""
    return _net(f"uint8[b,{TILE},{TILE}] labels", body)


def mean() -> bytes:
    """Classification: the score of the second class is the mean of the tile."""
    body = """pooled = ReduceMean<axes=[2, 3], keepdims=0>(image)
    rest = Sub(one, pooled) scores = Concat<axis=1>(rest, pooled)"""
    return _net("float[b,2] scores", body)


def turned_pixels(width, height, angle) -> bytes:
    """Oriented boxes: one around the center of each pixel, all alike; its score is the pixel."""
    y, x = np.mgrid[:TILE, :TILE].reshape(2, -1) + 0.5
    boxes = np.stack([x, y, *(np.full_like(x, number) for number in (width, height, angle))])
    numbers = ",".join(str(float(number)) for number in boxes.ravel())
    count = TILE * TILE
    constants = f"""int64[3] flat = {{-1, 1, {count}}}, float zero = {{0}},
    float[1,5,{count}] boxes = {{{numbers}}}"""
    body = """score = Reshape(image, flat) nothing = Mul(score, zero)
    box = Add(nothing, boxes) pred = Concat<axis=1>(box, score)"""
    return _net(f"float[b,6,{count}] pred", body, constants=constants)


def objects_as_masks() -> bytes:
    """Instances as torchvision has them: one tile per call, no batch axis."""
    corners = "\n".join(f"{c}_ = Unsqueeze({c}, last)" for c in ("x0", "y0", "x1", "y1"))
    body = f"""{_OBJECTS} {corners}
    stacked = Concat<axis=2>(x0_, y0_, x1_, y1_)
    boxes = Squeeze(stacked, first)
    labels = Identity(ones)
    scores = Squeeze(score, first)
    flat = Squeeze(mask, first)
    masks = Unsqueeze(flat, second)"""
    outputs = f"float[3,4] boxes, int64[3] labels, float[3] scores, float[3,1,{TILE},{TILE}] masks"
    return _net(outputs, body, batch="1")


def objects_as_prototypes() -> bytes:
    """Instances as rows and prototypes: the prototypes are the masks, each row takes its own."""
    parts = "\n".join(f"{p}_ = Unsqueeze({p}, second)" for p in ("x0", "y0", "x1", "y1", "score"))
    body = f"""{_OBJECTS} {parts}
    nothing = Mul(score_, zero)
    shares = Add(nothing, identity)
    pred = Concat<axis=1>(x0_, y0_, x1_, y1_, score_, shares)
    centered = Sub(mask, half)
    protos = Mul(centered, twenty)"""
    return _net(f"float[b,8,3] pred, float[b,3,{TILE},{TILE}] protos", body)


def objects_as_queries() -> bytes:
    """Detection as DETR has it: logits with one for no object, and normalized boxes."""
    body = f"""{_OBJECTS}
    centered = Sub(present, half)
    logit = Mul(centered, twenty)
    nothing = Mul(logit, zero)
    logit_ = Unsqueeze(logit, last)
    nothing_ = Unsqueeze(nothing, last)
    logits = Concat<axis=2>(logit_, nothing_)
    wide = Sub(x1, x0)
    tall = Sub(y1, y0)
    wide_half = Mul(wide, half)
    tall_half = Mul(tall, half)
    x = Add(x0, wide_half)
    y = Add(y0, tall_half)
    x_ = Unsqueeze(x, last)
    y_ = Unsqueeze(y, last)
    wide_ = Unsqueeze(wide, last)
    tall_ = Unsqueeze(tall, last)
    in_px = Concat<axis=2>(x_, y_, wide_, tall_)
    pred_boxes = Div(in_px, side)"""
    return _net("float[b,3,2] logits, float[b,3,4] pred_boxes", body)
