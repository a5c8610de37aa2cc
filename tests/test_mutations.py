"""The mutations of `tests.mutations` still fit the code; `python -m tests.mutations` runs them."""

import ast

import pytest

from tests.mutations import MUTATIONS, Mutation, copy


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda m: m.name)
def test_it_changes_the_code_and_leaves_it_code(mutation):
    ast.parse(mutation.changed())
    assert mutation.old != mutation.new
    assert mutation.notebook().exists()


def test_there_are_enough_of_them_for_all_lessons():
    assert len(MUTATIONS) >= 10
    assert {m.lesson for m in MUTATIONS} >= {f"{number:02}" for number in range(2, 11)}


def test_a_mutation_that_no_longer_fits_is_told(tmp_path):
    gone = Mutation("gone", "equations/noising.py", "this stands nowhere", "x", "02")
    with pytest.raises(ValueError, match="stands 0 times"):
        gone.changed()


def test_a_copy_is_changed_and_the_original_is_not(tmp_path):
    mutation = MUTATIONS[0]
    before = (tmp_path.parent, mutation.changed())
    copy(tmp_path, mutation)
    assert (tmp_path / "sdlearn" / mutation.file).read_text(encoding="utf-8") == before[1]
    assert mutation.changed() == before[1]
    assert (tmp_path / "data" / "models").is_dir()
