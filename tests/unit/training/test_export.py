import re
from pathlib import Path

import pytest
import torch

import swath
from swath.errors import TrainingError
from swath.training.export import export_package
from swath.training.inputs import TrainInputs
from swath.training.networks import build_network
from swath.training.package_spec import package_spec
from tests.helpers.squares import collection, options


class Fickle(torch.nn.Module):
    """A network that returns other scores once it is exported."""

    def forward(self, tiles):
        score = 0.5 if torch.compiler.is_exporting() else 0.6
        row = torch.cat([tiles[:, :1, :1, 0] * 0 + 32, tiles[:, 0, :1, :1] * 0 + 32], dim=1)
        rows = torch.cat([row, row * 0 + 8, row[:, :1] * 0 + score], dim=1)
        return rows.expand(-1, -1, 1024)


@pytest.fixture
def network(squares):
    """Return an untrained network, its package's description and the scenes' URIs."""
    chosen = options(**{"network.channels": "[4,4]"})
    data = collection(squares, "train")
    inputs = TrainInputs.from_collection(data, chosen)
    built = build_network("detector", bands=2, classes=1, size=64, channels=(4, 4))
    spec = package_spec(
        built, chosen, bands=inputs.bands, scaling=inputs.scaling, classes=data.classes
    )
    return built, spec, [scene.uri for scene in data.scenes]


def test_files_that_answer_otherwise_than_the_network_are_not_exported(network, tmp_path):
    built, spec, scenes = network
    built.exported = Fickle

    with pytest.raises(TrainingError, match="differ from the trained network by 0"):
        export_package(built, spec, tmp_path / "package", scenes)

    assert not (tmp_path / "package").exists()


def test_exported_files_tell_nothing_of_the_machine(network, tmp_path):
    built, spec, scenes = network

    export_package(built, spec, tmp_path / "package", scenes)

    code = str(Path(swath.__file__).parent).encode()
    for name in ("model.onnx", "model.pt2"):
        held = (tmp_path / "package" / name).read_bytes()
        assert len(held) > 1000
        assert code not in held
        assert not re.search(rb"""\.py["',:]""", held)
