import json
import re
from pathlib import Path

from swath.training.options import TrainOptions, read_options

DOCS = Path(__file__).resolve().parents[2] / "docs"
ROW = re.compile(r"\| `(\w+)` \| `(.*?)` \| .+ \|")


def test_the_page_has_every_option_and_its_default():
    rows = dict(ROW.findall((DOCS / "training.md").read_text()))
    known = TrainOptions().to_json()
    told = {name: json.loads(rows[name]) for name in known.keys() & rows.keys()}

    assert told == {n: v for n, v in known.items() if n not in {"augment", "network_options"}}


def test_the_recipes_are_options():
    recipes = sorted((DOCS / "recipes").glob("*.toml"))

    assert recipes
    for path in recipes:
        assert read_options(str(path)).name == path.stem
