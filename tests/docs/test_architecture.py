"""The page about the rooms of the code names each room that is there, in the order that is held."""

import re
import tomllib

from tests.helpers.documented import ROOT

PAGE = (ROOT / "docs" / "architecture.md").read_text()
ROOMS = re.findall(r"^\| \[`(\w+)`\]\(\.\./src/swath/", PAGE, re.MULTILINE)


def contract():
    """The floors of the import contract, from the top: the rooms of each."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (layers,) = [one["layers"] for one in settings["contracts"] if one["type"] == "layers"]
    return [{room.strip() for room in floor.split("|")} for floor in layers]


def test_each_room_has_a_row():
    children = (ROOT / "src" / "swath").iterdir()
    there = {one.stem for one in children if one.is_dir() or one.suffix == ".py"}
    assert sorted(ROOMS) == sorted(there - {"__init__", "__main__", "__pycache__"})


def test_the_drawing_has_the_floors_of_the_contract():
    drawing = PAGE.split("## One direction")[1].split("```")[1]
    drawn = [set(re.findall(r"\w+", line)) for line in drawing.splitlines()]
    assert [floor for floor in drawn if floor] == contract()


def test_the_files_to_begin_with_are_there():
    for room, files in re.findall(r"^\| \[`(\w+)`\]\(.*\| (`.*`) \|$", PAGE, re.MULTILINE):
        for file in re.findall(r"`([\w/.]+)`", files):
            assert (ROOT / "src" / "swath" / room / file).is_file(), (room, file)


def test_the_files_on_the_path_of_a_scene_exist():
    path_section = PAGE.split("## The path of a scene")[1].split("## Where to change what")[0]
    named = re.findall(r"(?<![\w./])((?:\w+/)+(?:\w+\.py)?)(?!\w)", path_section.split("```")[1])
    assert len(named) > 15
    for path in named:
        assert (ROOT / "src" / "swath" / path).exists(), path
