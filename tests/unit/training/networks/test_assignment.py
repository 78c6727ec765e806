import torch
from hypothesis import given
from hypothesis import strategies as st

from swath.training.networks.assignment import assign_objects, cell_centers

STRIDE, SIDE = 2, 32
PLACES = cell_centers(SIDE // STRIDE, SIDE // STRIDE, STRIDE)
EVERYWHERE = torch.ones(len(PLACES), dtype=torch.bool)


def assigned(*boxes, crowd=None, valid=EVERYWHERE, radius=0.25):
    boxes = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    crowd = torch.zeros(len(boxes), dtype=torch.bool) if crowd is None else torch.tensor(crowd)
    return assign_objects(PLACES, boxes, crowd, valid, radius)


def places_of(found, box):
    return {tuple(PLACES[place].tolist()) for place in found.cells[found.boxes == box]}


def test_places_are_the_middles_of_the_steps():
    assert PLACES[:2].tolist() == [[1, 1], [3, 1]]
    assert PLACES[-1].tolist() == [31, 31]


def test_without_objects_all_places_are_empty_and_count():
    found = assigned()
    assert len(found.cells) == len(found.boxes) == 0
    assert not found.ignored.any()


def test_the_middle_of_a_box_answers_for_it():
    found = assigned([8, 8, 16, 24])
    assert places_of(found, 0) == {(x, y) for x in (11, 13) for y in (13, 15, 17, 19)}


def test_an_object_smaller_than_the_step_has_the_nearest_place():
    found = assigned([10.2, 10.2, 10.6, 10.6])
    assert places_of(found, 0) == {(11, 11)}


def test_of_nested_objects_the_smaller_one_has_the_places():
    found = assigned([0, 0, 32, 32], [12, 12, 20, 20])
    assert places_of(found, 1) == {(x, y) for x in (15, 17) for y in (15, 17)}
    assert len(places_of(found, 0)) == 8 * 8 - 4


def test_two_objects_in_one_place_leave_it_to_the_smaller():
    found = assigned([10, 10, 12, 12], [10.5, 10.5, 11.5, 11.5])
    assert places_of(found, 1) == {(11, 11)}
    assert places_of(found, 0) == set()


def test_a_box_at_the_border_answers_from_its_middle():
    found = assigned([-4, 14, 8, 18])
    assert places_of(found, 0) == {(x, y) for x in (1, 3, 5) for y in (15, 17)}


def test_an_object_whose_middle_is_outside_has_only_what_lies_in_it():
    assert not len(assigned([-40, 10, 4, 14]).cells)


def test_what_has_no_area_answers_nowhere():
    found = assigned([5, 5, 5, 9])
    assert not len(found.cells)


def test_nothing_is_learnt_in_a_crowd_but_of_other_objects():
    found = assigned([0, 0, 16, 16], [6, 6, 10, 10], crowd=[True, False])
    assert places_of(found, 1) == {(x, y) for x in (7, 9) for y in (7, 9)}
    assert found.ignored.sum() == 8 * 8 - 4
    assert not found.ignored[found.cells].any()


def test_nothing_is_learnt_where_there_is_no_scene():
    valid = PLACES[:, 0] < 16
    found = assigned([12, 12, 20, 20], valid=valid)
    assert (found.ignored == ~valid).all()
    assert places_of(found, 0) == {(15, y) for y in (15, 17)}


BOXES = st.lists(
    st.tuples(*[st.floats(0, 24, width=32)] * 2, *[st.floats(0.5, 20, width=32)] * 2), max_size=6
)


@given(BOXES)
def test_each_place_answers_once_and_every_lonely_object_has_one(boxes):
    found = assigned(*[(x, y, x + width, y + height) for x, y, width, height in boxes])
    assert len(set(found.cells.tolist())) == len(found.cells)
    assert (found.boxes < len(boxes)).all()
    middles = [(x + w / 2, y + h / 2) for x, y, w, h in boxes]
    if len(boxes) == 1 and all(0 <= side < SIDE for side in middles[0]):
        assert len(found.cells)
