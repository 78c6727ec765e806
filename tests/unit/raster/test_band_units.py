"""Units of bands, as files and Items state them."""

import pytest

from swath.items import ItemBand
from swath.raster.band_units import Unit, choose_unit, item_unit


@pytest.mark.parametrize(
    ("band", "unit"),
    [
        (ItemBand(), None),
        (ItemBand(nodata=0.0), None),
        (ItemBand(scale=1.0, offset=0.0), None),
        (ItemBand(scale=0.0001, offset=-0.1), Unit("", 0.0001, -0.1)),
        (ItemBand(unit="kelvin"), Unit("kelvin")),
    ],
)
def test_the_unit_of_an_items_band(band, unit):
    assert item_unit(band) == unit


def test_the_header_decides_if_it_states_a_unit():
    header, item = Unit("", 0.0001, 0.0), Unit("", 0.0001, -0.1)
    assert choose_unit(None, None) == (None, "")
    assert choose_unit(None, item) == (item, "")
    assert choose_unit(header, None) == (header, "")
    assert choose_unit(header, Unit("reflectance", 0.0001, 0.0)) == (header, "")


def test_a_contradiction_is_stated():
    unit, contradiction = choose_unit(Unit("", 0.0001, 0.0), Unit("", 0.0001, -0.1))
    assert unit == Unit("", 0.0001, 0.0)
    assert contradiction == (
        "states scale 0.0001, offset 0 in its file and scale 0.0001, offset -0.1 in its Item; "
        "the file's are used"
    )
