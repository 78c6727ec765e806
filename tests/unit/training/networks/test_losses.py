import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from swath.training.networks.losses import iou_and_ciou, soft_dice_loss, varifocal_loss

BOX = st.tuples(*[st.floats(0, 50, width=32)] * 2, *[st.floats(0.5, 30, width=32)] * 2)


def boxes(*rows):
    return torch.tensor(rows, dtype=torch.float32)


@pytest.mark.parametrize(
    ("other", "expected"),
    [([0, 0, 4, 4], 1), ([2, 0, 6, 4], 1 / 3), ([0, 0, 4, 2], 0.5), ([9, 9, 12, 12], 0)],
)
def test_the_overlap_of_two_boxes(other, expected):
    iou, _ = iou_and_ciou(boxes([0, 0, 4, 4]), boxes(other))
    assert iou.item() == pytest.approx(expected, abs=1e-5)


@given(BOX, BOX)
def test_the_complete_form_is_never_more_and_the_same_for_equals(one, other):
    corners = [boxes([x, y, x + width, y + height]) for x, y, width, height in (one, other)]
    iou, complete = iou_and_ciou(*corners)
    assert complete <= iou + 1e-6
    assert iou_and_ciou(corners[0], corners[0])[1].item() == pytest.approx(1, abs=1e-4)


def test_boxes_that_do_not_meet_are_drawn_to_each_other():
    box = boxes([0, 0, 4, 4]).requires_grad_()
    (1 - iou_and_ciou(box, boxes([20, 0, 24, 4]))[1]).sum().backward()
    assert (box.grad[0, [0, 2]] < 0).any()  # the negative gradient points to the right
    assert torch.isfinite(box.grad).all()


def test_a_box_without_width_has_a_finite_gradient():
    box = boxes([3, 3, 3, 3]).requires_grad_()
    iou_and_ciou(box, boxes([0, 0, 4, 4]))[1].sum().backward()
    assert torch.isfinite(box.grad).all()


def test_an_empty_place_is_heard_as_its_score_is_high():
    low, high = varifocal_loss(torch.tensor([-4.0, 2.0]), torch.zeros(2))
    assert low < 1e-4
    assert high > 1


def test_the_loss_of_a_score_is_least_at_its_quality():
    logits = torch.linspace(-5, 5, 401)
    loss = varifocal_loss(logits, torch.full((401,), 0.7))
    assert logits[loss.argmin()].sigmoid().item() == pytest.approx(0.7, abs=0.01)


def test_infinite_certainty_has_a_finite_gradient():
    logits = torch.tensor([80.0, -80.0], requires_grad=True)
    varifocal_loss(logits, torch.tensor([0.0, 0.9])).sum().backward()
    assert torch.isfinite(logits.grad).all()


def test_dice_is_0_for_the_truth_and_near_1_for_its_opposite():
    truth = (torch.arange(64).reshape(1, 1, 8, 8) % 3 == 0).float()
    counts = torch.ones(1, 1, 8, 8)
    assert soft_dice_loss(truth, truth, counts).item() == pytest.approx(0)
    assert soft_dice_loss(1 - truth, truth, counts).item() > 0.9


def test_dice_does_not_see_what_does_not_count():
    truth = torch.zeros(1, 1, 4, 4)
    truth[..., :2, :] = 1
    counts = torch.zeros(1, 1, 4, 4)
    counts[..., :2, :] = 1
    assert soft_dice_loss(torch.ones(1, 1, 4, 4), truth, counts).item() == pytest.approx(0)
