"""The table of models: honest about what is here, escaped, and quick."""

import subprocess
import sys

import pytest

import sdlearn as sd
from sdlearn import _resources, cli
from sdlearn.models import Row, Table, models
from sdlearn.models.catalogue import POCKET, PUBLISHED


def test_every_published_model_is_in_it_and_none_is_here():
    table = models()
    rows = [row for row in table if row.name in PUBLISHED]
    assert [row.name for row in rows] == list(PUBLISHED)
    for row in rows:
        assert not row.here
        assert row.where == PUBLISHED[row.name].repository
        assert row.nbytes == PUBLISHED[row.name].download_bytes
    assert table["sd15"].size == "2.1 GB"


def test_it_is_reached_as_a_function_and_as_a_package():
    assert [row.name for row in sd.models()] == [row.name for row in models()]
    assert sd.models.Table is Table


def test_what_is_in_the_cache_is_found_with_its_size(cache):
    folder = cache("runwayml/stable-diffusion-v1-5")
    row = models()["sd15"]
    assert row.here and row.where == str(folder)
    assert row.nbytes == sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    assert row.nbytes < 3e6 and row.size.endswith((" MB", " kB"))


def test_pocket_models_come_first_and_unknown_ones_after_them(monkeypatch, tmp_path, folders):
    import shutil

    for name in ("a-model-of-mine", "pocket-sdxl", "pocket-sd15"):
        shutil.copytree(folders["sd1"], tmp_path / "models" / name)
    (tmp_path / "models" / "pocket-sd21" / "unet").mkdir(parents=True)  # half trained
    monkeypatch.setattr(_resources, "data_dir", lambda: tmp_path)
    names = [row.name for row in models()]
    assert names[:3] == ["pocket-sd15", "pocket-sdxl", "a-model-of-mine"]
    assert names[3:] == list(PUBLISHED)
    row = models()["pocket-sd15"]
    assert row.here and row.mirrors == f"{POCKET['pocket-sd15'].title}, in miniature"
    licences = [row.licence for row in models()[:3]]
    assert licences == ["CC0 1.0", "CC0 1.0", ""]  # what somebody trained is theirs


def test_the_licence_is_the_one_that_the_cards_tell():
    for row in models():
        if row.name in POCKET:
            card = (_resources.data_dir() / "models" / row.name / "README.md").read_text("utf-8")
            assert f"public domain ({row.licence})" in card


def test_hostile_names_are_escaped():
    bad = "<script>alert(1)</script>"
    row = Row(bad, bad, bad, 10, bad, True, bad)
    shown = Table([row])._repr_html_()
    assert "<script>" not in shown and shown.count("&lt;script&gt;") == 5
    assert bad in repr(Table([row]))


def test_rows_by_place_and_by_name():
    table = models()
    assert table[0] == next(iter(table))
    assert len(table[1:3]) == 2
    with pytest.raises(KeyError, match="no model 'sd99'; there are"):
        table["sd99"]


def test_the_command_prints_it(capsys):
    assert cli.main(["models"]) == 0
    assert capsys.readouterr().out.strip() == repr(models())


def test_neither_the_table_nor_the_command_loads_torch():
    code = (
        "import sys, sdlearn as sd; from sdlearn import cli\n"
        "repr(sd.models()); cli.main(['models'])\n"
        "assert not {'torch', 'diffusers', 'transformers', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
