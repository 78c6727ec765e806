import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swath.errors import OutOfMemoryError
from swath.models.runtimes import batch_size as module
from swath.models.runtimes.batch_size import MAX_BATCH_SIZE, best_batch_size, make_batch_timer
from tests.helpers.packages import OracleModel


def device(overhead, fits=MAX_BATCH_SIZE * 2):
    """Return a device's duration function: 1 s a tile, `overhead` s a batch, up to `fits` tiles."""

    def seconds(tiles):
        if tiles > fits:
            raise OutOfMemoryError(f"{tiles} tiles do not fit")
        return overhead + tiles

    return seconds


@pytest.mark.parametrize(
    ("overhead", "fits", "suggested", "best"),
    [
        (0, 1000, 8, 8),  # a larger batch is no faster
        (8, 1000, 8, 64),  # each doubling up to the maximum pays
        (1, 1000, 8, 16),  # 8/9 to 16/17 pays, 16/17 to 32/33 does not
        (8, 40, 8, 32),
        (8, 8, 8, 8),
        (8, 5, 16, 4),
        (8, 1, 16, 1),
        (8, 0, 16, 1),
        (8, 1000, 1000, MAX_BATCH_SIZE),
        (8, 1000, 1, 64),
    ],
)
def test_it_grows_while_that_pays_and_memory_allows(overhead, fits, suggested, best):
    assert best_batch_size(device(overhead, fits), suggested) == best


def test_a_model_exported_for_batches_up_to_some_size_is_not_given_more():
    def seconds(tiles):
        if tiles > 16:
            raise RuntimeError("expected batch <= 16")
        return 100 + tiles

    assert best_batch_size(seconds, 4) == 16


@given(overhead=st.floats(0, 100), fits=st.integers(1, 200), suggested=st.integers(1, 200))
def test_what_it_finds_fits(overhead, fits, suggested):
    best = best_batch_size(device(overhead, fits), suggested)

    assert 1 <= best <= min(fits, MAX_BATCH_SIZE)


def test_a_model_is_measured_on_batches_of_black_tiles(monkeypatch):
    class Clocked(OracleModel):
        batch_size = 4
        shown = ()
        now = 0.0

        def __call__(self, tiles):
            self.shown = tiles
            self.now += 10 * len(tiles)
            return super().__call__(tiles)

    class Description:
        bands, tile_size = ("red", "green"), 16

    model = Clocked()
    monkeypatch.setattr(module.time, "perf_counter", lambda: model.now)

    assert make_batch_timer(model, Description)(3) == 30
    assert [tile.shape for tile in model.shown] == [(2, 16, 16)] * 3
    assert not np.any(model.shown)
