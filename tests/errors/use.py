"""Faults of the installation, and of words that no command takes."""

from tests.errors.fault import Fault, run

_GROUP = "Installation and use"


def faults():
    """Modules that are not installed, and words that mean nothing."""
    train = ("train", "labels/good.json", "images", "--out", "trained")
    tune = ("tune", "labels/good.json", "images", "--search", "options/good.toml", "--out", "tuned")
    evaluate = ("evaluate", "packages/good", "labels/good.json", "images", "--out", "measured")
    optimize = ("model", "optimize", "packages/good", "--out", "small", "--precision", "int8",
                "--scene", "scene.tif")  # fmt: skip
    for module, words in {
        "torch": train,
        "optuna": tune,
        "typer": ("--help",),
        "rich": ("--help",),
        "rasterio": run(),
        "shapely": run(),
        "pyarrow": run(),
        "numpy": run(),
        "onnxruntime, openvino": run(),
        "boto3": ("model", "versions", "a-group"),
        "botocore": run(),
        "onnx": optimize,
        "faster_coco_eval": evaluate,
        "jinja2": evaluate,
        "matplotlib": train,
        "onnxscript": train,
        "psycopg": run("scene.tif", "packages/good", "--database", "postgresql:///d"),
    }.items():
        yield Fault(_GROUP, f"without {module}", words, missing=module)
    good = run("scene.tif", "packages/good", "--tolerated-failures")
    for wrong, words in {
        "an unknown command": ("fly",),
        "an unknown option": (*good[:-1], "--color", "red"),
        "a missing option": ("run", "scene.tif"),
        "a missing argument": ("run",),
        "a number in words": (*good, "some"),
        "a number out of range": (*good, "2"),
        "a number that is NaN": (*good, "nan"),
        "an empty argument": ("model", "show", ""),
        "an empty value": (*good[:-1], "--database", ""),
        "an option that is set to nothing": (*good[:-2], "--out="),
        "an image to invoke is absent": ("invoke", "absent.tif", "--endpoint", "e"),
    }.items():
        yield Fault(_GROUP, wrong, words)
