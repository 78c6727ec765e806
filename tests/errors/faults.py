"""Command and fault: the words of each command, and what is wrong."""

import os

from swath.cli import EXIT_FAILED, EXIT_INPUT
from tests.errors import aws, programs, scene_documents, use
from tests.errors.fault import Fault, run


def all_faults() -> list[Fault]:
    """Every fault, in the order of the page."""
    return [
        *_scenes(),
        *scene_documents.faults(),
        *_packages(),
        *_outputs(),
        *_databases(),
        *aws.faults(),
        *_authoring(),
        *_labels(),
        *_training(),
        *programs.local_cloud(),
        *programs.jobs(),
        *programs.functions(),
        *use.faults(),
    ]


def _scenes():
    cases = {
        "is absent": "absent.tif",
        "is a folder": "a-folder",
        "is empty": "empty.tif",
        "is text": "text.tif",
        "breaks off in its header": "header-only.tif",
        "breaks off in its pixels (PNG)": "truncated.png",
        "is a VRT without bands": "names.vrt",
        "has two bands, and the model takes one": "two-bands.tif",
        "has complex numbers": "complex.tif",
        "has one block of 10 GB": "vast.tif",
        "has an empty name": "",
        "has a name that is too long": "n" * 300 + ".tif",
        "is S3 without a bucket": "s3:///scene.tif",
        "is S3 without a key": "s3://bucket",
        "has a bucket that S3 does not allow": "s3://Bad_Bucket!/scene.tif",
        "has a key of 1,025 bytes": "s3://bucket/" + "k" * 1025,
        "is on the web": "https://example.com/scene.tif",
        "is one of GDAL's own names": "/vsicurl/https://example.com/scene.tif",
        "has a line break in its name": "a\nb.tif",
        "has an escape sequence in its name": "a\x1b[31mb.tif",
        "has a name that is not UTF-8": os.fsdecode(b"absent-\xe9.tif"),
        "is there, with a name that is not UTF-8": os.fsdecode(b"latin-\xe9.tif"),
    }
    yield from (Fault("Scenes", f"the scene {wrong}", run(scene)) for wrong, scene in cases.items())
    yield Fault("Scenes", "the scene's pixels are damaged", run("damaged.tif"), EXIT_FAILED)
    yield Fault("Scenes", "the scene may not be read", run("no-access.tif"), as_nobody=True)


def _packages():
    names = (
        "absent", "empty", "no-description", "no-weights", "changed-weights", "truncated-onnx",
        "no-onnx", "empty-onnx", "torchvision-op", "custom-op", "unknown-op", "other-input",
        "truncated-pt2", "truncated-torchscript", "bomb-pt2", "bomb-torchscript", "text.tar.gz",
        "truncated.tar.gz", "no-description.tar.gz", "escapes.tar.gz", "link.tar.gz", "bomb.tar.gz",
        "control-name", "nul-name", "long-name", "number-name",
        "unknown-task", "no-input", "no-output", "unknown-scaling", "zero-scaling",
        "vast-scaling", "oblong-tiles", "tiles-of-0", "vast-tiles", "negative-overlap",
        "wide-overlap", "score-of-2", "score-in-words", "unknown-hyperparameter", "nul-class",
        "two-classes", "no-classes", "long-class", "href-outside", "href-with-nul", "href-web",
        "no-assets", "a-feature", "broken-json", "no-json", "empty-json", "list-json", "deep-json",
        "nan-json", "long-number-json", "surrogate-json",
    )  # fmt: skip
    for name in names:
        yield Fault(
            "Model packages", name.replace("-", " "), run(model=f"packages/{name}"), EXIT_INPUT
        )
    for wrong, model in {
        "bare weights": "models/model.onnx",
        "an empty name": "",
        "`s3:///`": "s3:///",
    }.items():
        yield Fault("Model packages", f"{wrong} as a package", run(model=model))
        yield Fault("Model packages", f"{wrong} as a package", ("model", "show", model))
        yield Fault("Model packages", f"{wrong} as a package", ("model", "check", model))
    low = run("scene.tif", "packages/good", "--score-threshold", "0.01")
    yield Fault("Model packages", "a score threshold below the package's own", low)
    for name in ("torchvision-op", "custom-op", "truncated-onnx"):
        yield Fault(
            "Model packages", name.replace("-", " "), ("model", "check", f"packages/{name}"), 1
        )
    for name in ("deep-json", "broken-json", "bomb.tar.gz"):
        words = ("model", "show", f"packages/{name}")
        yield Fault("Model packages", name.replace("-", " "), words)


def _outputs():
    yield Fault("Output folders", "`--out` is a file", run(out="a-file"))
    yield Fault("Output folders", "`--out` is below a file", run(out="a-file/out"), EXIT_FAILED)
    yield Fault(
        "Output folders", "`--out` cannot be written", run(out="read-only/out"), 1, as_nobody=True
    )
    yield Fault("Output folders", "`--out` is too long", run(out="o" * 300), EXIT_FAILED)
    yield Fault("Output folders", "a file grows too large", run(), 1, largest_file=1000)
    yield Fault("Output folders", "the disk is full", run(out="full/out"), 1, full_disk=True)
    made = ("model", "init", "models/model.onnx", "--from", "swath", "--bands", "red", "--classes",
            "dot", "--scaling", "1000", "--out")  # fmt: skip
    yield Fault("Output folders", "the disk is full", (*made, "full/made"), 1, full_disk=True)
    yield Fault(
        "Output folders",
        "`--out` of a package is a file",
        ("model", "init", "models/model.onnx", "--from", "swath", "--bands", "red", "--out",
         "a-file"),
    )  # fmt: skip


def _databases():
    def to(dsn, *more):
        return run("scene.tif", "packages/good", "--database", dsn, *more)

    group = "Databases"
    yield Fault(group, "nothing listens there", to("postgresql://u@127.0.0.1:{closed}/d"), 1)
    yield Fault(group, "no such host", to("postgresql://u@nowhere.invalid/d"), 1)
    yield Fault(group, "no DSN", to("no dsn at all"))
    yield Fault(group, "another scheme", to("mysql://u@127.0.0.1/d"))
    yield Fault(group, "an unknown parameter", to("postgresql://127.0.0.1/d?color=red"))

    yield Fault(group, "no such database", to("{no_database}"), 1)
    yield Fault(group, "a wrong password", to("{wrong_password}"), 1)
    yield Fault(group, "PostGIS cannot be added", to("{no_postgis}"))


def _authoring():
    group = "Making packages"
    whole = ("--classes", "dot", "--scaling", "none")

    def init(weights, *more, library="swath"):
        return ("model", "init", f"models/{weights}", "--from", library, "--bands", "red", "--out",
                "made", *more)  # fmt: skip

    for wrong, words in {
        "the weights are absent": init("absent.onnx"),
        "the weights are broken": init("broken.onnx"),
        "the weights are empty": init("empty.onnx"),
        "the weights have another suffix": init("model.h5"),
        "the TorchScript is no archive": init("text.pt"),
        "the .pt2 is no archive": init("text.pt2"),
        "the checkpoint is a pickle": init("pickle.pt", library="ultralytics"),
        "the tile size is 0": init("model.onnx", "--tile-size", "0"),
        "the scaling is unknown": init("model.onnx", "--scaling", "magic"),
        "the scaling's file is deep": init("model.onnx", "--scaling", "models/deep.json"),
        "the scaling's file says nothing": init("model.onnx", "--scaling", "options/scaling.json"),
        "`--set` has no value": init("model.onnx", "--set", "score_threshold"),
        "`--set` names nothing known": init("model.onnx", "--set", "color=red"),
        "the library is unknown": init("model.onnx", library="keras"),
        "weights without a name": init(""),
        "the weights are a package": ("model", "init", "packages/good", *init("")[3:]),
        "an operator of torchvision": init("torchvision-op.onnx"),
        "an operator of somebody's own": init("custom-op.onnx"),
        "an operator that ONNX lacks": init("unknown-op.onnx"),
        "the weights want three bands": init("three-bands.onnx"),
        "a hyperparameter out of range": init("model.onnx", *whole, "--set", "score_threshold=2"),
        "a hyperparameter in words": init("model.onnx", *whole, "--set", "overlap=many"),
        "a hyperparameter of deep JSON": init("model.onnx", *whole, "--set", "merge=" + "[" * 5000),
        "a head that reads other outputs": init("model.onnx", *whole, "--set", "head=prototypes"),
        "the overlap is a whole tile": init("model.onnx", *whole, "--overlap", "16"),
        "the tile size is another": init("model.onnx", "--tile-size", "64"),
        "no class is named": init("model.onnx"),
        "no scaling is named": init("model.onnx", "--classes", "dot"),
        "a class is named twice": init("model.onnx", "--scaling", "none", "--classes", "dot,dot"),
        "a unit that is none": init("model.onnx", *whole, "--unit", "magic,x"),
        "units of other bands": init("model.onnx", *whole, "--unit", "dn", "--unit", "dn"),
        "the scene for statistics is absent": init("model.onnx", *whole, "--scene", "absent.tif"),
        "the scaling divides by 0": init("model.onnx", "--classes", "dot", "--scaling", "0"),
        "the name has a line break": init("model.onnx", *whole, "--name", "a\nb"),
    }.items():
        yield Fault(group, wrong, words)
    good = "packages/good"
    for wrong, words in {
        "no scene for statistics": ("model", "statistics", good, "--scene", "absent.tif"),
        "statistics of an empty folder": ("model", "statistics", "a-folder", "--scene",
                                          "scene.tif"),
        "a scene to check with is absent": ("model", "check", good, "--scene", "absent.tif"),
        "the tolerance is negative": ("model", "check", good, "--max-difference=-1"),
        "a scene to calibrate with is absent": ("model", "optimize", good, "--out", "small",
                                                "--precision", "float16", "--scene", "absent.tif"),
        "a package to optimize is absent": ("model", "optimize", "absent", "--out", "small",
                                            "--precision", "float16", "--scene", "scene.tif"),
        "a package to optimize is a feature": ("model", "optimize", "packages/a-feature", "--out",
                                               "small", "--precision", "int8", "--scene",
                                               "scene.tif"),
        "no tiles to calibrate with": ("model", "optimize", good, "--out", "small", "--precision",
                                       "int8", "--scene", "scene.tif", "--tiles", "0"),
        "a loss of 2": ("model", "optimize", good, "--out", "small", "--precision", "int8",
                        "--scene", "scene.tif", "--max-loss", "2"),
        "the smaller package is a file": ("model", "optimize", good, "--out", "a-file",
                                          "--precision", "int8", "--scene", "scene.tif"),
        "no package to publish": ("model", "publish", "absent", "--to", "published"),
        "a bucket to publish to without a name": ("model", "publish", good, "--to", "s3:///"),
        "an evaluation that is absent": ("model", "publish", good, "--to", "published",
                                         "--evaluation", "absent.json"),
        "an unknown precision": ("model", "optimize", good, "--out", "small", "--precision",
                                 "int1", "--scene", "scene.tif"),
        "labels without images": ("model", "publish", good, "--to", "published",
                                  "--val-labels", "labels/good.json"),
        "an evaluation of another form": ("model", "publish", good, "--to", "published",
                                          "--evaluation", "options/evaluation.json"),
    }.items():  # fmt: skip
        yield Fault(group, wrong, words, EXIT_INPUT)
    publish = ("model", "publish", good, "--to", "a-file")
    yield Fault(group, "a folder to publish to is a file", publish, EXIT_FAILED)


def _labels():
    group = "Labels"
    good = "packages/good"
    names = (
        "absent.json", "broken.json", "binary.json", "empty.json", "deep.json", "nothing.json",
        "list.json", "no-images.json", "no-scene.json", "escape.json", "nul.json",
        "other-size.json", "no-category.json", "no-image.json", "nan.json", "vast.json",
        "words.json", "nul-class.json", "broken.geojson", "nan.geojson", "open.geojson",
        "words.geojson", "far.geojson", "no-class.geojson", "unknown-crs.geojson",
        "list-crs.geojson", "text.csv", "empty",
    )  # fmt: skip
    for name in names:
        words = ("evaluate", good, f"labels/{name}", "images", "--out", "measured")
        yield Fault(group, name, words)
    labels = ("labels/good.json", "images")
    for wrong, words in {
        "no such folder of images": (good, "labels/good.json", "absent", "--out", "measured"),
        "no image in the folder": (good, "labels/good.json", "no-raster", "--out", "measured"),
        "an unknown format": (good, *labels, "--out", "measured", "--format", "voc"),
        "no folder to write to": (good, *labels),
        "an unknown figure": (good, *labels, "--out", "measured", "--fail-below", "AP=high"),
        "a figure without a value": (good, *labels, "--out", "measured", "--fail-below", "AP50"),
        "a score of 2": (good, *labels, "--out", "measured", "--score-floor", "2"),
        "a class of the labels that there is not": (good, *labels, "--out", "measured", "--map",
                                                    "ferry=dot"),
        "a class of the model that there is not": (good, *labels, "--out", "measured", "--map",
                                                   "dot=ship"),
        "`--map` without a name": (good, *labels, "--out", "measured", "--map", "dot"),
        "an option for SageMaker": (good, *labels, "--out", "measured", "--hours", "3"),
        "a score of NaN": (good, *labels, "--out", "measured", "--score-floor", "nan"),
        "no package": ("absent", *labels, "--out", "measured"),
        "an evaluation that is none": (good, *labels, "--out", "measured", "--against",
                                       "options/evaluation.json"),
    }.items():  # fmt: skip
        yield Fault(group, wrong, ("evaluate", *words))


def _training():
    group = "Training"

    def train(*more, labels="labels/good.json", images="images"):
        return ("train", labels, images, "--out", "trained", *more)

    for wrong, words in {
        "no folder to write to": ("train", "labels/good.json", "images"),
        "`--set` names nothing known": train("--set", "epoch=3"),
        "`--set` has no value": train("--set", "epochs"),
        "`--set` is out of range": train("--set", "epochs=0"),
        "`--set` is a word": train("--set", "epochs=many"),
        "`--set` is NaN": train("--set", "learning_rate=nan"),
        "no file of options": train("--options", "options/absent.toml"),
        "options of broken JSON": train("--options", "options/broken.json"),
        "options of broken TOML": train("--options", "options/broken.toml"),
        "options that are a list": train("--options", "options/list.json"),
        "options of deep JSON": train("--options", "options/deep.json"),
        "an unknown option in the file": train("--options", "options/unknown.toml"),
        "a word in the file": train("--options", "options/words.toml"),
        "options of no known form": train("--options", "options/notes.txt"),
        "a class of the labels that there is not": train("--map", "ferry=dot"),
        "one fold": train("--folds", "1"),
        "more folds than scenes": train("--folds", "9"),
        "nothing to resume": train("--resume"),
        "labels are absent": train(labels="labels/absent.json"),
        "labels of deep JSON": train(labels="labels/deep.json"),
        "images are absent": train(images="absent"),
        "`--resume` on SageMaker": ("train", "-", "images", "--on-sagemaker", "--resume"),
        "hours are NaN": ("train", "-", "s3://b/images", "--on-sagemaker", "--hours", "nan"),
    }.items():
        yield Fault(group, wrong, words)
    for name in ("absent.toml", "search-unknown.toml", "search-empty.toml", "search.toml",
                 "broken.toml", "deep.json"):  # fmt: skip
        words = ("tune", "labels/good.json", "images", "--search", f"options/{name}", "--out",
                 "tuned")  # fmt: skip
        yield Fault(group, f"the search is {name}", words)
