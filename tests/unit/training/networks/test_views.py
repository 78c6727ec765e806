"""Tests of a detector that sees a tile from several sides: each side gives the same result."""

import itertools

import pytest
import torch

from swath.errors import InputError
from swath.training.networks import Targets, build_network
from swath.training.networks.views import VIEW_COUNTS, views
from tests.helpers.synthetic import rectangles, tensor

SIZE = 32


def detector(**options):
    torch.manual_seed(3)
    net = build_network("detector", bands=2, classes=2, size=SIZE, channels=(4, 6, 8), **options)
    for weight in net.parameters():  # so that scores and boxes differ between cells
        torch.nn.init.normal_(weight, std=0.3)
    return net.eval()


def ordered(rows):
    """Return rows (1, 4 + classes, cells) in an order that is independent of the cells' order."""
    found = rows[0].T
    return found[torch.argsort(found[:, 4] + 3 * found[:, 5])]


@pytest.mark.parametrize("count", VIEW_COUNTS)
def test_views_are_as_many_different_ones(count):
    tile = torch.arange(16.0).reshape(1, 1, 4, 4)
    seen = [view.apply(tile) for view in views(count)]
    assert len(seen) == count
    assert torch.equal(seen[0], tile)
    assert all(not torch.equal(one, other) for one, other in itertools.combinations(seen, 2))


@pytest.mark.parametrize("view", views(8))
def test_what_is_seen_from_a_side_is_put_where_it_is(view):
    """Check that each view is undone: a map of the tile becomes the tile, as do a box's sides."""
    tile = torch.rand(1, 1, 5, 5)
    left, up, right, down = 1.0, 2.0, 3.0, 4.0
    box = torch.tensor([left, up, right, down]).reshape(1, 4, 1, 1).expand(1, 4, 5, 5)
    turned = [up, left, down, right] if view.swapped else [left, up, right, down]
    if view.upside_down:
        turned[1], turned[3] = turned[3], turned[1]
    if view.mirrored:
        turned[0], turned[2] = turned[2], turned[0]
    there = torch.tensor(turned).reshape(1, 4, 1, 1).expand(1, 4, 5, 5)

    found, scores = view.undo(there, view.apply(tile))

    assert torch.equal(scores, tile)
    assert torch.equal(found, box)


def test_with_all_views_a_turned_tile_is_answered_by_the_turned_answer():
    module = detector(views=8).exported()
    tile = torch.rand(1, 2, SIZE, SIZE)
    with torch.no_grad():
        rows, turned = module(tile), module(tile.rot90(1, (-2, -1)))
    back = turned.clone()
    # A quarter turn counterclockwise maps (x, y) to (y, size - x).
    back[:, 0], back[:, 1] = SIZE - turned[:, 1], turned[:, 0]
    back[:, 2], back[:, 3] = turned[:, 3], turned[:, 2]
    torch.testing.assert_close(ordered(rows), ordered(back), rtol=1e-4, atol=1e-4)
    assert not torch.allclose(rows, detector(views=1).exported()(tile), atol=1e-2)


def test_one_view_is_the_network_itself():
    net = detector()
    tile = torch.rand(2, 2, SIZE, SIZE)
    with torch.no_grad():
        ((logits, boxes),) = net(tile)
        rows = net.exported()(tile)
    torch.testing.assert_close(rows[:, 4:].transpose(1, 2), logits.sigmoid())
    middle = ((boxes[..., :2] + boxes[..., 2:]) / 2).transpose(1, 2)
    torch.testing.assert_close(rows[:, :2], middle, rtol=1e-4, atol=1e-3)


def test_members_answer_with_their_mean_and_learn_from_crops_of_their_own():
    net = detector(members=2)
    tiles = torch.rand(5, 2, SIZE, SIZE)
    with torch.no_grad():
        first, second = net(tiles)
        alone = [net.members[0](tiles[::2]), net.members[1](tiles[1::2])]
        rows = net.exported()(tiles)
        every = [member(tiles).logits.sigmoid() for member in net.members]
    torch.testing.assert_close(first, alone[0])
    torch.testing.assert_close(second, alone[1])
    torch.testing.assert_close(rows[:, 4:].transpose(1, 2), sum(every) / 2)
    assert not torch.allclose(*every, atol=1e-2)


def test_a_batch_of_fewer_crops_than_members_is_learnt_from():
    net = detector(members=3).train()
    crops = rectangles(2, bands=2)
    loss = sum(net.loss(net(tensor(crops)), Targets.collate(crops)).values())
    loss.backward()
    learnt = [member.score.weight.grad is not None for member in net.members]
    assert learnt == [True, True, False]


def test_a_network_without_members_is_refused():
    with pytest.raises(InputError, match="members is 0"):
        detector(members=0)


def test_a_number_of_views_that_there_is_not_is_refused():
    with pytest.raises(InputError, match="views is 3; choose one of 1, 2, 4, 8"):
        detector(views=3)
