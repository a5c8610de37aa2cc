"""The model card says what was measured, and nothing else."""

import json
from pathlib import Path

import pytest

import sdlearn._resources
from sdlearn.training import card

RECORD = {
    "recipe": {
        "mirrors": "Stable Diffusion 9",
        "size": 64,
        "pictures": 12_345,
        "plans": {"vae": {"steps": 100}, "unet": {"steps": 200}},
    },
    "stages": {
        "vae": {"step": 100, "samples": 1600, "hours": 1.25, "device": "CPU", "psnr": 23.456},
        "unet": {"step": 150, "samples": 9600, "hours": 2.0, "device": "NVIDIA H200"},
    },
}
EVALUATION = {
    "weights": card.weights(Path("a folder without weights")),
    "steps": 25,
    "guidance_scale": 5.0,
    "rows": [{"name": "colours", "score": 0.5, "seen": 0.625, "heldout": 0.375, "count": 200}],
}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "recipe.json").write_text(json.dumps(RECORD))
    return tmp_path


def test_every_figure_of_training_is_in_it(folder):
    text = card.write(folder).read_text(encoding="utf-8")
    for said in ("Stable Diffusion 9", "64 x 64", "12,345", "1,600", "1.2", "23.5 dB", "H200"):
        assert said in text
    assert "150 of 200" in text  # an unfinished stage says so
    assert "100 of 100" not in text
    assert f"Not measured yet: `sdlearn eval {folder} --to {folder}/eval`" in text


def test_it_says_where_the_model_lies_and_whether_it_shares_by_links(folder):
    record = {**RECORD, "recipe": {**RECORD["recipe"], "shared": {"vae": "other/vae"}}}
    (folder / "recipe.json").write_text(json.dumps(record))
    (folder / "vae").mkdir()
    weights = folder / "vae" / "weights.safetensors"
    weights.touch()
    text = card.text(folder)
    assert f'from_pretrained("{folder}", safety' in text and "Here are copies." in text
    weights.unlink()
    weights.symlink_to("/elsewhere")
    assert "here are links to them." in card.text(folder)
    own = sdlearn._resources.data_dir() / "models" / "pocket-sd15"
    assert 'from_pretrained("data/models/pocket-sd15", safety' in card.text(own)


def test_each_run_of_a_part_has_its_line(folder):
    record = json.loads(json.dumps(RECORD))
    first = record["stages"]["unet"]
    record["stages"]["unet"] = {"step": 30, "samples": 333, "hours": 0.5, "earlier": first}
    (folder / "recipe.json").write_text(json.dumps(record))
    rows = [line for line in card.text(folder).splitlines() if line.startswith("| U-Net")]
    assert rows == [
        "| U-Net, run 1 | 150 | 9,600 | 2.0 | NVIDIA H200 |",
        "| U-Net, run 2 | 30 of 200 | 333 | 0.5 |  |",
    ]


def test_what_a_later_stage_left_alone_is_not_said_to_be_its_doing(folder):
    record = json.loads(json.dumps(RECORD))
    for number, psnr in enumerate((21.0, 23.0, 25.0, 25.0)):
        name = ("vae", "decoder", "text", "clip")[number]
        record["recipe"]["plans"][name] = {"steps": 9}
        record["stages"][name] = {"step": 9, "samples": 9, "psnr": psnr, "among_100": 0.5}
    (folder / "recipe.json").write_text(json.dumps(record))
    text = card.text(folder)  # in the stages' order: clip 25, text 25, vae 21, decoder 23
    assert "decoded: 23.0 dB (before: 21.0 dB)" in text
    assert "among 100: 50.0%\n" in text
    record["stages"]["decoder"]["psnr"] = 21.0
    (folder / "recipe.json").write_text(json.dumps(record))
    assert "decoded: 21.0 dB (before: 25.0 dB)" in card.text(folder)


def test_few_pictures_and_a_base_model_are_told(folder):
    refiner = folder / "some-refiner"
    (refiner / card.EVALUATION).parent.mkdir(parents=True)
    scheduler = {"num_train_timesteps": 1000}
    record = {**RECORD, "recipe": {**RECORD["recipe"], "noise": 0.25, "scheduler": scheduler}}
    record["recipe"]["frames"] = {
        "count": 9,
        "size": 128,
        "sides": [64, 128],
        "cut": 0.4,
        "zoom": 2,
    }
    (refiner / "recipe.json").write_text(json.dumps(record))
    few = {**EVALUATION, "rows": [{**EVALUATION["rows"][0], "count": 8}]}
    (refiner / card.EVALUATION).write_text(json.dumps(few))
    text = card.text(refiner)
    assert "some walked the timesteps from 999 to 250, and left the rest to it" in text
    assert "Of 8 pictures of a kind each counts 0.125;" in text
    assert "of a score: 2.5 for the smallest, 6 for the largest.\n" in text
    assert "It learnt at timesteps below 250 of 1,000 only" in text
    assert "drawn anew with sides of 64 and 128 pixels, enlarged to 128" in text
    record["recipe"]["frames"]["full"] = 0.5
    (refiner / "recipe.json").write_text(json.dumps(record))
    assert "drawn anew, 50% with sides of 128 and the others with sides" in card.text(refiner)
    (folder / card.EVALUATION).parent.mkdir()
    (folder / card.EVALUATION).write_text(json.dumps(EVALUATION))
    assert "each counts" not in card.text(folder) and "walked" not in card.text(folder)


def test_with_an_evaluation_its_table_is_there(folder):
    (folder / card.EVALUATION).parent.mkdir()
    (folder / card.EVALUATION).write_text(json.dumps(EVALUATION))
    text = card.text(folder)
    assert "| colours | 0.500 | 0.625 | 0.375 | 200 | 0.85 | 0.85 |" in text
    assert "guidance 5" in text
    assert "Not measured yet" not in text
    assert ".png" not in text
    (folder / card.EVALUATION).with_name("steps.png").touch()
    assert "(eval/steps.png)" in card.text(folder)


def test_scores_of_other_weights_are_left_out(folder):
    (folder / card.EVALUATION).parent.mkdir()
    part = folder / "unet" / "weights.safetensors"
    part.parent.mkdir()
    part.write_bytes(b"one")
    measured = {**EVALUATION, "weights": card.weights(folder)}
    (folder / card.EVALUATION).write_text(json.dumps(measured))
    assert "| colours | 0.500" in card.text(folder)
    part.write_bytes(b"two")
    assert "Not measured yet" in card.text(folder)
    assert "| colours | 0.500" not in card.text(folder)


def test_scores_are_those_of_their_judge(folder, tmp_path, monkeypatch):
    judge = tmp_path / "checker.safetensors"
    monkeypatch.setattr(card, "weights_path", lambda: judge)
    digests = []
    for eyes in (b"one", b"two"):
        judge.write_bytes(eyes)
        digests.append(card.weights(folder))
    assert digests[0]["judge"] != digests[1]["judge"]


@pytest.mark.parametrize(("count", "told"), [(8, "counts 0.125; in"), (50, "25 each, 0.04")])
def test_the_card_says_how_much_one_picture_counts_and_what_chance_does(folder, count, told):
    (folder / card.EVALUATION).parent.mkdir()
    rows = [{**row, "count": count, "score": 0.5} for row in EVALUATION["rows"]]
    measured = {**EVALUATION, "rows": rows, "weights": card.weights(folder)}
    (folder / card.EVALUATION).write_text(json.dumps(measured))
    chance = 1.96 * (0.25 / (count + 2)) ** 0.5  # with half a picture more of each kind
    assert told in card.text(folder)
    assert f"uncertain by {chance / len(rows) ** 0.5:.3f}" in card.text(folder)
    assert f"kind by {chance:.2f} (95%)" in card.text(folder)


def test_a_refiners_scores_are_those_of_its_base_model_too(tmp_path):
    for name in ("a", "a-refiner"):
        (tmp_path / name / "unet").mkdir(parents=True)
        (tmp_path / name / "unet" / "w.safetensors").write_bytes(name.encode())
    before = card.weights(tmp_path / "a-refiner")
    (tmp_path / "a" / "unet" / "w.safetensors").write_bytes(b"another")
    assert set(before) == {"judge", "unet/w.safetensors", "base: unet/w.safetensors"}
    assert card.weights(tmp_path / "a-refiner") != before


def test_a_reader_that_lies_with_its_clip_is_said_to_lie_there(folder):
    assert "Shared with" not in card.text(folder) and "other half" not in card.text(folder)
    recipe = {**RECORD["recipe"], "clip_name": "their-clip"}
    record = {**RECORD, "recipe": recipe, "stages": {**RECORD["stages"], "clip": {"step": 9}}}
    record["stages"]["clip"]["samples"] = 9
    recipe["plans"] = {**recipe["plans"], "clip": {"steps": 9}}
    (folder / "recipe.json").write_text(json.dumps(record))
    text = card.text(folder)
    assert "which sees pictures: [their-clip](../their-clip/README.md)." in text
    assert "Shared with" not in text  # it has a reader of its own
    recipe["sees"] = "first-clip"
    (folder / "recipe.json").write_text(json.dumps(record))
    assert "`text_encoder`: `their-clip/text_encoder`" in card.text(folder)


def test_curves_that_are_there_are_shown(folder):
    assert "curves/" not in card.text(folder)
    (folder / card.CURVES).mkdir()
    (folder / card.CURVES / "unet.png").touch()
    assert "(curves/unet.png)" in card.text(folder)


def test_without_a_recipe_there_is_no_card(tmp_path):
    with pytest.raises(FileNotFoundError, match="--export"):
        card.write(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_met_anothers_eyes_says_so(folder):
    recipe = {**RECORD["recipe"], "sees": "eyes", "clip_name": "reader"}
    recipe["plans"] = {**recipe["plans"], "clip": {"steps": 4}}
    record = {"recipe": recipe, "stages": {"clip": {"step": 4, "samples": 8}}}
    (folder / "recipe.json").write_text(json.dumps(record))
    text = card.text(folder)
    assert "| text encoder, to meet what eyes sees | 4 |" in text
    assert "which sees pictures: [eyes](../eyes/README.md)" in text
    clip, other = folder.with_name("reader"), folder.with_name("other")
    (clip / "text_encoder").mkdir(parents=True)
    other.mkdir()
    shares = {"shared": {"text_encoder_2": "reader/text_encoder"}}
    (other / "recipe.json").write_text(json.dumps({"recipe": shares}))
    about = card.half(clip, folder)
    assert f"A CLIP whose reader {folder.name} and other have" in about and "`eyes`'s" in about
