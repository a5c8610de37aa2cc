"""Wrong calls: each is refused at the door by an error that names the argument."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from sdlearn import world
from sdlearn.world import Scene, Subject

CAT = Subject("cat", "red")
ONE = Scene((CAT,))
PICTURE = Image.new("RGB", (64, 64))

WRONG = [
    ("kind", lambda: Subject("unicorn", "red")),
    ("kind", lambda: Subject("Cat", "red")),
    ("kind", lambda: Subject(None, "red")),
    ("colour", lambda: Subject("cat", "turquoise")),
    ("colour", lambda: Subject("cat", 3)),
    ("size", lambda: Subject("cat", "red", "huge")),
    ("accessory", lambda: Subject("cat", "red", "big", "cape")),
    ("accessory", lambda: Subject("cat", "red", "big", "")),
    ("subjects", lambda: Scene(())),
    ("subjects", lambda: Scene((CAT, CAT, CAT), "above")),
    ("subjects", lambda: Scene("a cat")),
    ("subjects", lambda: Scene(("cat",))),
    ("two subjects can't stand in one place", lambda: Scene((CAT, CAT))),
    ("relation", lambda: Scene((CAT,), "above")),
    ("relation", lambda: Scene((CAT, CAT), "behind")),
    ("place", lambda: Scene((CAT,), place="on the moon")),
    ("style", lambda: Scene((CAT,), style="cubism")),
    ("seed", lambda: Scene((CAT,), seed=-1)),
    ("seed", lambda: Scene((CAT,), seed=1.5)),
    ("stated", lambda: Scene((CAT,), stated=frozenset({"2 kind"}))),
    ("seed", lambda: world.sample(seed=-1)),
    ("seed", lambda: world.sample(seed=True)),
    ("seed", lambda: world.sample(seed="3")),
    ("seed", lambda: world.sample(seed=2**64)),
    ("split", lambda: world.sample(seed=1, split="test")),
    ("heldout", lambda: world.sample(seed=1, heldout="yes")),
    ("scene", lambda: world.is_heldout("a cat")),
    ("size", lambda: ONE.render(0)),
    ("size", lambda: ONE.render(31)),
    ("size", lambda: ONE.render(513)),
    ("size", lambda: ONE.render(128.0)),
    ("size", lambda: ONE.masks(-128)),
    ("seed", lambda: ONE.caption(-5)),
    ("seed", lambda: ONE.caption("canonical")),
    ("caption", lambda: world.parse(None)),
    ("caption", lambda: world.parse(["a", "cat"])),
    ("columns", lambda: world.contact_sheet([ONE], columns=0)),
    ("scenes", lambda: world.contact_sheet([])),
    ("scenes", lambda: world.contact_sheet(ONE)),
    ("scenes", lambda: world.contact_sheet(["a cat"])),
    ("scene", lambda: world.check(PICTURE, "a red cat")),
    ("facts", lambda: world.check(PICTURE, ONE, facts="colours")),
    ("facts", lambda: world.check(PICTURE, ONE, facts=["relation"])),
    ("facts", lambda: world.check(PICTURE, ONE, facts=[])),
    ("picture", lambda: world.check("cat.png", ONE)),
    ("picture", lambda: world.read(Image.new("RGB", (64, 32)))),
    ("picture", lambda: world.read(Image.new("RGB", (8, 8)))),
    ("picture", lambda: world.read(np.zeros((3, 64, 64), dtype=np.uint8))),
    ("picture", lambda: world.read(np.full((64, 64, 3), 200.0))),
    ("picture", lambda: world.read(np.full((64, 64, 3), np.nan))),
    ("picture", lambda: world.read(np.zeros((64, 64, 3), dtype=np.int64))),
]  # fmt: skip


@pytest.mark.parametrize(("argument", "call"), WRONG)
def test_a_wrong_call_names_its_argument(argument, call):
    with pytest.raises((ValueError, TypeError)) as error:
        call()
    assert argument in str(error.value)
    assert len(str(error.value)) > 30  # a sentence, not a shrug


def test_a_near_miss_gets_a_suggestion():
    with pytest.raises(ValueError, match="Did you mean 'rabbit'"):
        Subject("rabit", "white")


def test_records_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        ONE.place = "at night"
    assert hash(ONE) == hash(Scene((CAT,)))


def test_numpy_numbers_are_welcome():
    assert world.sample(np.int64(3)) == world.sample(3)
    assert ONE.render(np.int32(32)).size == (32, 32)


def test_the_world_is_light_to_import():
    """torch takes a second, and only the checker needs it."""
    code = (
        "import sys; from sdlearn import world; world.sample(seed=1).render(32);"
        "world.vocabulary();"
        "heavy = {'torch', 'diffusers', 'transformers', 'matplotlib', 'scipy'} & set(sys.modules);"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
