"""Tests of the ship matching: which boxes show a ship."""

import numpy as np

from local_cloud.demo.ship_matching import match_ships

SHIPS = np.array([[0.0, 0, 10, 10], [20, 0, 30, 10]])


def test_a_ship_matches_one_box_only():
    boxes = np.array([[0.0, 0, 10, 10], [1, 0, 10, 10]])

    assert match_ships(boxes, SHIPS).tolist() == [True, False]


def test_an_iou_of_one_half_is_a_match_and_less_is_not():
    assert match_ships(np.array([[0.0, 0, 10, 5]]), SHIPS).tolist() == [True]
    assert match_ships(np.array([[0.0, 0, 10, 4.9]]), SHIPS).tolist() == [False]


def test_a_box_between_two_ships_is_given_to_the_one_it_fits_better():
    ships = np.array([[0.0, 0, 10, 10], [2, 0, 12, 10]])
    boxes = np.array([[1.8, 0, 11.8, 10], [0.5, 0, 10.5, 10]])

    assert match_ships(boxes, ships).all()


def test_no_boxes_and_no_ships():
    nothing = np.empty((0, 4))

    assert match_ships(nothing, SHIPS).tolist() == []
    assert match_ships(SHIPS, nothing).tolist() == [False, False]
