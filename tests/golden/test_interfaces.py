"""Interfaces that others depend on stay as they are while the code behind them changes.

Messages, error names, environment variables, files, tables, and the words of the command line.
"""

import dataclasses
import importlib
import pkgutil
from pathlib import Path

import msgspec
import numpy as np
import pyarrow.parquet as pq
import typer.main

import swath
from swath import storage
from swath.cli import app
from swath.errors import SwathError
from swath.messages import Payload
from swath.pipeline.local import run_local
from swath.pipeline.merge import merge_run
from swath.pipeline.publish import publish_run
from swath.pipeline.run_store import RunStore
from swath.pipeline.shard import run_shard
from swath.settings import EnvSettings, variable_name
from tests.helpers.runs import run_request

# One needs an extra, others are Alembic's to import.
NOT_IMPORTED = ("swath.models.runtimes.openvino", "swath.database.migrations.", "swath.__main__")


def import_all():
    """Import each module of swath and each function, so that each class of them is known."""
    for module in pkgutil.walk_packages(swath.__path__, "swath."):
        if not module.name.startswith(NOT_IMPORTED):
            importlib.import_module(module.name)
    for handler in Path("lambdas").glob("*/handler.py"):
        importlib.import_module(f"lambdas.{handler.parent.name}.handler")


def subclasses(cls):
    """Return all subclasses of a class that swath or a function has."""
    below = [sub for direct in cls.__subclasses__() for sub in (direct, *subclasses(direct))]
    return {sub for sub in below if sub.__module__.partition(".")[0] in {"swath", "lambdas"}}


def test_messages(golden):
    import_all()
    found = {}
    for cls in subclasses(Payload):
        (schema,), parts = msgspec.json.schema_components([cls])
        enums = {f"#/$defs/{name}": part for name, part in parts.items() if "enum" in part}
        found[cls.__name__] = with_values(parts[schema["$ref"].rpartition("/")[2]], enums)
    golden("messages", {name: without_prose(schema) for name, schema in found.items()})


def with_values(schema, enums):
    """A schema with the values of its enumerations where they are referred to."""
    if isinstance(schema, dict):
        values = enums.get(schema.get("$ref"), {}).get("enum")
        inner = {
            k: with_values(v, enums) for k, v in schema.items() if not (values and k == "$ref")
        }
        return inner | ({"enum": values} if values else {})
    return [with_values(part, enums) for part in schema] if isinstance(schema, list) else schema


def without_prose(schema):
    """A schema without the docstrings of classes."""
    if isinstance(schema, dict):
        inner = {key: without_prose(value) for key, value in schema.items()}
        return {k: v for k, v in inner.items() if not (k == "description" and isinstance(v, str))}
    return [without_prose(part) for part in schema] if isinstance(schema, list) else schema


def test_errors(golden):
    """State machines retry by these names."""
    import_all()
    names = {
        cls.__name__: sorted(base.__name__ for base in cls.__mro__[1:-1])
        for cls in subclasses(SwathError)
    }
    golden("errors", names)


def test_environment_variables(golden):
    import_all()
    importlib.import_module("swath.sagemaker.server.settings")
    found = {}
    for cls in subclasses(EnvSettings):
        for field in dataclasses.fields(cls):
            needed = field.default is dataclasses.MISSING
            value = field.default
            default = (
                None if needed else ",".join(value) if isinstance(value, tuple) else str(value)
            )
            found.setdefault(variable_name(field.name), []).append(
                [str(field.type), needed, default]
            )
    unique = {name: sorted({tuple(use) for use in uses}, key=str) for name, uses in found.items()}
    golden("environment", {name: [list(use) for use in uses] for name, uses in unique.items()})


def test_commands(golden):
    golden("commands", described(typer.main.get_command(app)))


def described(command):
    """A command's arguments and options without their help, and its commands."""
    inner = getattr(command, "commands", {})
    parameters = [
        {
            "name": parameter.name,
            "words": [*parameter.opts, *parameter.secondary_opts],
            "type": str(parameter.type_descriptor.annotation),
            "required": parameter.required,
            "repeated": parameter.multiple or parameter.nargs != 1,
            "variable": parameter.envvar,
        }
        for parameter in command.params
        if "completion" not in parameter.name
    ]
    return {
        "parameters": parameters,
        "commands": {name: described(sub) for name, sub in inner.items()},
    }


def test_files(golden, make_scene, package, make_plan, tmp_path):
    """Check the files that a run leaves: in the work bucket, and for others."""
    pixels = np.zeros((1, 60, 100), np.int16)
    pixels[0, 5::7, 5::7] = 81
    scene = make_scene(pixels)
    run_local(scene, str(package), tmp_path / "out")
    plan_uri = make_plan(scene, shard_tiles=17)
    for index in range(len(RunStore.open(plan_uri).plan.shards)):
        run_shard(plan_uri, index)
    merge = merge_run(plan_uri)
    publish_run(run_request(), merge, str(tmp_path / "results"), backend="batch")
    work = Path(plan_uri).parent
    found = {str(path.relative_to(work)): kind(path) for path in files_in(work)}
    found |= {f"out/{path.name}": kind(path) for path in files_in(tmp_path / "out")}
    (item,) = (tmp_path / "results").rglob("item.json")
    golden("files", found | {"results/item.json": kind(item)})


def files_in(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def kind(path):
    """Return the content of a file: a Parquet file's columns, or the members of JSON."""
    return parquet(path) if path.suffix == ".parquet" else members(storage.read_json(str(path)))


def parquet(path):
    """A Parquet file's columns, and the keys of its metadata."""
    schema, metadata = pq.read_schema(path), pq.read_metadata(path).metadata
    return {
        "columns": {
            field.name: f"{field.type}{'' if field.nullable else ' not null'}" for field in schema
        },
        "metadata": sorted(key.decode() for key in metadata or ()),
    }


def members(data):
    """The names within JSON, and the types of what they name."""
    if isinstance(data, dict):
        return {name: members(value) for name, value in data.items()}
    return type(data).__name__
