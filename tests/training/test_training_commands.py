"""`sdlearn train` and `sdlearn eval`, from the command line down to the files."""

import json
import signal
import subprocess
import sys

import pytest
from tiny_recipe import tiny

from sdlearn import _train, cli, views, world
from sdlearn.training import checkpoints, conditioning, log, pocketeval, run, stopping, sweeps
from sdlearn.training.recipes import RECIPES


@pytest.fixture(autouse=True)
def known(monkeypatch, accelerator, tmp_path):
    """The tiny recipe by name; the package's own models elsewhere."""
    monkeypatch.setitem(RECIPES, "tiny", tiny())
    monkeypatch.setattr(run, "_precision", lambda processes: "no")
    monkeypatch.setattr(run._resources, "data_dir", lambda: tmp_path / "data")
    accelerator()  # resets, before and after


def test_train_goes_on_exports_and_is_evaluated(copied, tmp_path, capsys):
    folder = copied("unet")
    assert cli.main(["train", "tiny", "--folder", str(folder), "--stop-at", "5"]) == 0
    said = capsys.readouterr().out
    assert "vae: all 8 steps are done." in said
    assert "unet: from the beginning, 5 of 8 steps to do" in said
    assert f"Checkpoints, logs, samples, curves: {folder}" in said
    assert checkpoints.load(folder / "unet")[0] == 5
    for stage in ("clip", "text", "vae", "unet"):
        assert (folder / stage / "curves.png").stat().st_size > 1000

    export = ["train", "tiny", "--folder", str(folder), "--export"]
    assert cli.main(export) == 1
    assert "unet has done 5 of 8 steps" in capsys.readouterr().err
    assert cli.main([*export, "--unfinished"]) == 0
    assert str(tmp_path / "data" / "models" / "tiny" / "unet") in capsys.readouterr().out

    exported = tmp_path / "data" / "models" / "tiny"
    for stage in ("text", "vae", "unet"):
        assert (exported / "curves" / f"{stage}.png").stat().st_size > 1000
        assert f"(curves/{stage}.png)" in (exported / "README.md").read_text()
    half = (exported.parent / "pocket-clip" / "README.md").read_text()
    assert 'clip.load("tiny")' in half and "(../tiny/README.md)" in half

    kept = tmp_path / "kept"
    line = ["eval", "tiny", "--count", "2", "--steps", "2", "--to", str(kept)]
    assert cli.main(line) == 0
    assert "the worlds are different" in capsys.readouterr().out
    table = json.loads((kept / "pocketeval.json").read_text())
    assert len(table["rows"]) == 8 and table["steps"] == 2
    assert "| attribute binding |" in (kept / "pocketeval.md").read_text()


def test_eval_draws_its_sweeps(tmp_path, monkeypatch, capsys):
    def oracle(prompts, seeds):
        pairs = zip(prompts, seeds, strict=True)
        return [world.parse(prompt).replace(seed=seed).render() for prompt, seed in pairs]

    monkeypatch.setattr(sweeps, "model_draws", lambda *_, **__: lambda **___: oracle)
    monkeypatch.setattr(conditioning, "measured", lambda *_, **__: {})
    monkeypatch.setattr(sweeps, "loaded", lambda folder: (None, None))
    monkeypatch.setattr(sweeps, "redrawn", lambda model: oracle)
    tmp_path.joinpath("pocketeval.json").write_text('{"weights": {"of": "others"}}')
    monkeypatch.setattr(sweeps, "STEPS", (5, 10))
    monkeypatch.setattr(sweeps, "GUIDANCE", (1.0, 5.0))
    monkeypatch.setattr(sweeps, "VARIETY_PROMPTS", sweeps.VARIETY_PROMPTS[:1])
    assert cli.main(["eval", "any", "--count", "2", "--sweep", "2", "--to", str(tmp_path)]) == 0
    assert {path.name for path in tmp_path.iterdir()} >= {"steps.png", "guidance_scale.png"}
    assert "variety" in capsys.readouterr().out
    line = ["eval", "any", "--count", "2", "--to", str(tmp_path)]
    assert cli.main(line) == 0  # the same weights again: what was swept stays
    kept = json.loads((tmp_path / "pocketeval.json").read_text())
    assert {"steps_sweep", "guidance_sweep", "rows", "weights"} <= set(kept)
    assert kept["sweep_count"] == 2
    assert (tmp_path / "steps.png").exists()
    assert cli.main([*line, "--guidance", "3"]) == 0  # steps were swept at another guidance
    kept = json.loads((tmp_path / "pocketeval.json").read_text())
    assert "steps_sweep" not in kept and not (tmp_path / "steps.png").exists()
    assert "guidance_sweep" in kept and (tmp_path / "guidance_scale.png").exists()
    (tmp_path / "pocketeval.json").write_text('{"weights": {"of": "others"}}')
    assert cli.main(line) == 0
    assert not (tmp_path / "guidance_scale.png").exists()


def test_a_rehearsal_is_not_for_the_card(tmp_path, monkeypatch, capsys):
    heard = []

    def oracle(prompts, seeds):
        heard.extend(prompts)
        return [world.parse(prompt).render() for prompt in prompts]

    monkeypatch.setattr(sweeps, "model_draws", lambda *_, **__: lambda **___: oracle)
    monkeypatch.setattr(sweeps, "loaded", lambda folder: (None, None))
    monkeypatch.setattr(sweeps, "redrawn", lambda model: oracle)
    monkeypatch.setattr(conditioning, "measured", lambda *_, **__: 1 / 0)
    assert cli.main(["eval", "any", "--count", "2", "--rehearse"]) == 0
    assert "guidance 5, a rehearsal" in capsys.readouterr().out
    asked = pocketeval.prompts(pocketeval.CATEGORIES[0], 2, pocketeval.REHEARSAL)
    assert heard[:2] == [prompt.text for prompt in asked]
    with pytest.raises(SystemExit):
        cli.main(["eval", "any", "--rehearse", "--to", str(tmp_path)])
    assert "not allowed with" in capsys.readouterr().err


def test_variety_is_measured_on_what_was_seen():
    assert not any(world.is_heldout(world.parse(text)) for text in sweeps.VARIETY_PROMPTS)


def test_eval_broken_off_keeps_what_it_measured(tmp_path, monkeypatch, capsys):
    def oracle(prompts, seeds):
        return [world.parse(prompt).render() for prompt in prompts]

    def interrupted(*arguments, **settings):
        raise KeyboardInterrupt

    monkeypatch.setattr(sweeps, "model_draws", lambda *_, **__: lambda **___: oracle)
    monkeypatch.setattr(sweeps, "loaded", lambda folder: (None, None))
    monkeypatch.setattr(sweeps, "redrawn", lambda model: interrupted)
    path, line = tmp_path / "pocketeval.json", ["eval", "any", "--to", str(tmp_path), "--count"]
    assert cli.main([*line, "2"]) == 130
    assert f"stopped. What was measured is in {tmp_path}" in capsys.readouterr().err
    kept = json.loads(path.read_text())
    assert len(kept["rows"]) == 8 and kept["rows"][0]["score"] > 0.5

    # Broken off again, it costs nothing that a whole run of the same pictures had measured.
    for row in kept["rows"]:
        row["redrawn"] = 0.75
    path.write_text(json.dumps({**kept, "conditioning": {"told": 1}}))
    assert cli.main([*line, "2"]) == 130
    again = json.loads(path.read_text())
    assert again["rows"] == kept["rows"] and again["conditioning"] == {"told": 1}
    assert "true drawings, redrawn" in (tmp_path / "pocketeval.md").read_text()
    assert cli.main([*line, "4"]) == 130  # of other pictures nothing is known beside
    assert json.loads(path.read_text())["rows"][0]["redrawn"] is None


def test_eval_asks_for_its_place_before_it_draws(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert cli.main(["eval", "pocket-sd15", "--to", str(tmp_path / "file" / "in it")]) == 1
    assert "file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (["train", "sd15"], "There is no recipe for 'sd15'. There is: pocket-sd15"),
        (["train", "tiny", "--stage", "vea"], "There is no stage 'vea'"),
        (["train", "tiny", "--folder", "{}", "--export"], "nothing to export"),
        (["eval", "{}"], "no model_index.json"),
        (["eval", "pocket-sd99"], "no model_index.json"),
    ],
)
def test_problems_are_one_line(line, complaint, tmp_path, capsys):
    assert cli.main([part.format(tmp_path) for part in line]) == 1
    err = capsys.readouterr().err
    assert err.startswith("sdlearn: ") and complaint in err and "Traceback" not in err


@pytest.mark.parametrize("option", ["--count", "--sweep"])
def test_eval_needs_a_seen_and_a_held_out_prompt_of_each_kind(option, capsys):
    with pytest.raises(SystemExit):
        cli.main(["eval", "tiny", option, "1"])
    assert "a whole number from 2 up, not '1'" in capsys.readouterr().err


def test_ctrl_c_outside_the_loop_is_calm(monkeypatch, capsys):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(_train, "train", interrupted)
    assert cli.main(["train", "tiny"]) == 130
    assert "the same command goes on" in capsys.readouterr().err


def test_curves_that_cannot_be_drawn_hide_no_news(copied, monkeypatch, capsys):
    def full(*arguments):
        raise OSError("No space left on device")

    def stopped(*arguments, **settings):
        raise stopping.Stopped("unet stopped at step 3")

    monkeypatch.setattr(_train, "curves", full)
    monkeypatch.setattr(run, "run", stopped)
    assert cli.main(["train", "tiny", "--folder", str(copied("unet"))]) == 130
    said = capsys.readouterr()
    assert "unet stopped at step 3" in said.err and "No space left" in said.out


def test_curves_tell_first_and_last_values(trained):
    columns = log.read(trained / "vae" / "log.csv")
    steps = columns.pop("step")
    figure = views.learning(steps, columns, title="tiny: vae")
    assert len(figure.drawing.axes) == 3  # loss, psnr, kl
    assert figure.alt.startswith("tiny: vae over 8 steps: loss from ")
    with pytest.raises(ValueError, match="at least two steps"):
        views.learning([1], {"loss": [1.0]}, title="short")


@pytest.mark.parametrize("draws", ["base", "refined", "restored"])
def test_ctrl_c_ends_an_evaluation(draws):
    """A run that is broken off leaves half a picture, and that is not to be judged."""

    class Half:
        images, interrupted = [], True

    class Stopped:
        family = size = None

        def generate(self, *arguments, **settings):
            return Half()

        image_to_image = generate

    tell = conditioning.draws(Stopped(), Stopped() if draws == "refined" else None)
    with pytest.raises(KeyboardInterrupt):
        tell(["a red cat"], [0])


def test_ctrl_c_in_the_middle_of_a_picture_ends_eval(tmp_path):
    """With the real signal: the run takes it, and hands back what it has."""
    line = [sys.executable, "-m", "sdlearn", "eval", "pocket-sd15", "--count", "200", "--to"]
    process = subprocess.Popen(
        [*line, str(tmp_path)],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # Whoever starts the tests in the background may have them ignore it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    said = ""
    while "/1600" not in said or "0/1600" in said.rsplit("|", 1)[-1]:
        said += process.stderr.read(1)
        assert process.poll() is None, said
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130 and err.rstrip().endswith("sdlearn: stopped."), said + err
    assert list(tmp_path.iterdir()) == []


def test_eval_reads_what_is_there_before_it_draws(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sweeps, "loaded", lambda folder: 1 / 0)
    for text in ("{", "[]", '{"rows": 3}'):
        (tmp_path / "pocketeval.json").write_text(text)
        assert cli.main(["eval", "pocket-sd15", "--to", str(tmp_path)]) == 1
        assert "pocketeval.json is no earlier evaluation" in capsys.readouterr().err


def test_eval_of_pictures_larger_than_pocket_worlds(monkeypatch):
    class Large:
        size = (768, 768)

    assert sweeps.redrawn(Large()) is None


def test_a_folder_named_by_a_dot_has_a_name(tmp_path, monkeypatch):
    folder = tmp_path / "own"
    folder.mkdir()
    monkeypatch.chdir(folder)
    assert _train._path(".") == folder


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (["train", "pocket-sd15", "--export", "x", "--go-on"], "leave --go-on out"),
        (["train", "pocket-sd15", "--export", "x", "--stop-at", "5"], "leave --stop-at out"),
        (["train", "pocket-sd15", "--unfinished"], "--unfinished is for --export"),
        (["lab", "x", "--copy-only", "--port", "99"], "leave --port out"),
        (["lab", "x", "--copy-only", "--no-browser"], "leave --no-browser out"),
    ],
)
def test_no_option_does_nothing(line, complaint, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(line) == 1
    assert complaint in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
