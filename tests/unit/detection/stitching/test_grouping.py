import numpy as np

from swath.detection.stitching.grouping import connected_components, group_views, is_mutual_best


def pairs(*rows):
    a, b = np.array(rows, np.int64).reshape(-1, 2).T
    return a, b


def test_components_are_named_after_their_least():
    assert connected_components(7, *pairs((6, 5), (5, 1), (2, 3))).tolist() == [0, 1, 2, 2, 4, 1, 1]


def test_a_long_chain_is_one_component():
    a = np.random.default_rng(0).permutation(999)

    assert (connected_components(1000, a, a + 1) == 0).all()


def test_only_those_that_choose_each_other_are_paired():
    tile = np.array([0, 1, 1, 2])
    a, b = pairs((0, 1), (0, 2), (1, 3), (2, 3))

    chosen = is_mutual_best(tile, a, b, np.array([0.6, 0.9, 0.8, 0.7]))

    # The best match of 1 is 0 and that of 2 is 3, but that of 0 is 2 and that of 3 is 1.
    assert chosen.tolist() == [False, True, True, False]


def test_no_two_things_of_a_tile_come_together():
    tile = np.array([0, 1, 2, 0])
    a, b = pairs((0, 1), (1, 2), (2, 3))

    assert group_views(tile, a, b, np.array([0.9, 0.6, 0.8])).tolist() == [0, 0, 2, 2]
    assert group_views(tile, a, b, np.array([0.9, 0.7, 0.6])).tolist() == [0, 0, 0, 3]


def test_things_of_different_tiles_come_together_whatever_the_weights():
    a, b = pairs((0, 1), (1, 2), (2, 3))

    assert group_views(np.arange(4), a, b, np.array([0.9, 0.6, 0.8])).tolist() == [0, 0, 0, 0]


def test_a_torn_group_leaves_the_others_alone():
    tile = np.array([0, 1, 0, 5, 6])
    a, b = pairs((0, 1), (1, 2), (3, 4))

    assert group_views(tile, a, b, np.array([0.5, 0.9, 0.1])).tolist() == [0, 1, 1, 3, 3]
