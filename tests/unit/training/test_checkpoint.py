import os
import pickle

import pytest
import torch

from swath.errors import InputError
from swath.training.checkpoint import CHECKPOINT_FILE, load_checkpoint, save_checkpoint

OF = {"options": "1", "scenes": "2"}


def test_what_was_saved_last_comes_back(tmp_path):
    for number in range(2):
        state = {"weight": torch.full((3,), number), "curves": [{"epoch": 1.0}], "best": None}
        save_checkpoint(tmp_path / "new", state, identity=OF)

    found = load_checkpoint(tmp_path / "new", identity=OF)

    assert found["weight"].tolist() == [1, 1, 1]
    assert found["curves"] == [{"epoch": 1.0}]
    assert [path.name for path in (tmp_path / "new").iterdir()] == [CHECKPOINT_FILE]


def test_there_may_be_none(tmp_path):
    assert load_checkpoint(tmp_path, identity=OF) is None


def test_that_of_another_training_is_refused(tmp_path):
    save_checkpoint(tmp_path, {}, identity=OF)

    with pytest.raises(InputError, match=r"checkpoint\.pt is .* with other scenes"):
        load_checkpoint(tmp_path, identity=OF | {"scenes": "3"})


def test_one_that_was_cut_short_is_refused(tmp_path):
    save_checkpoint(tmp_path, {"weight": torch.zeros(100)}, identity=OF)
    path = tmp_path / CHECKPOINT_FILE
    path.write_bytes(path.read_bytes()[:-200])

    with pytest.raises(InputError, match=r"is not a checkpoint.*remove it"):
        load_checkpoint(tmp_path, identity=OF)


def test_code_in_one_is_not_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "evil"),)

    torch.save({"version": 1, "identity": OF, "state": Evil()}, tmp_path / CHECKPOINT_FILE)

    with pytest.raises(InputError, match="is not a checkpoint"):
        load_checkpoint(tmp_path, identity=OF)

    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("held", [[], {"version": 0, "identity": OF, "state": {}}])
def test_one_of_another_form_is_refused(tmp_path, held):
    torch.save(held, tmp_path / CHECKPOINT_FILE)

    with pytest.raises(InputError, match="not a checkpoint of this version"):
        load_checkpoint(tmp_path, identity=OF)


def test_a_plain_pickle_is_refused(tmp_path):
    (tmp_path / CHECKPOINT_FILE).write_bytes(pickle.dumps({"version": 1}))

    with pytest.raises(InputError, match="is not a checkpoint"):
        load_checkpoint(tmp_path, identity=OF)
