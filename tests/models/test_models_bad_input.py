"""Wrong calls: each is refused with a sentence that says what came, what is allowed, what to do."""

import json
import re
import shutil
import subprocess
import sys

import diffusers
import ldm_layout
import pytest
import tiny
import torch
from accelerate import cpu_offload_with_hook
from safetensors.torch import load_file, save_file

from sdlearn.models import loading, parts, wrap
from sdlearn.models.loading import parts_of


def refused(error, words, name, **options):
    """Expect an error of this kind with these words; return what it says."""
    with pytest.raises(error, match=re.escape(words)) as caught:
        parts(name, **{"device": "cpu", **options})
    assert "Traceback" not in str(caught.value)
    return str(caught.value)


# --- names and places ---------------------------------------------------------------------------

NAMES = [
    (ValueError, "Did you mean sdxl", "sdx1"),
    (ValueError, "Did you mean sd15", "SD15"),
    (ValueError, "Known names: ", "imagen"),
    (ValueError, "names no model", " "),
    (ValueError, "names no model", ""),
    (TypeError, "got int", 15),
    (TypeError, "got list", ["sd15"]),
    (FileNotFoundError, "There is no such file or folder", "no/such/folder/anywhere"),
    (FileNotFoundError, "There is no such file or folder", "./nothing"),
    (FileNotFoundError, "There is no such file or folder", "nothing.safetensors"),
    (FileNotFoundError, "as a repository of the Hub it is not in the cache", "nobody/nothing"),
    (FileNotFoundError, "sd.load('sd15', download=True), or use pocket-sd15", "sd15"),
    (FileNotFoundError, "its 6.9 GB can be fetched", "sdxl"),
    (FileNotFoundError, "its up to 5.2 GB can be fetched", "sd21"),
]


@pytest.mark.parametrize(("error", "words", "name"), NAMES)
def test_names_that_stand_for_nothing(error, words, name):
    refused(error, words, name)


def test_a_pocket_model_that_is_not_here(monkeypatch, tmp_path):
    from sdlearn import _resources

    monkeypatch.setattr(_resources, "data_dir", lambda: tmp_path)
    assert "sdlearn train pocket-sd15" in refused(FileNotFoundError, "pocket-sd15 is not in", None)


def test_a_pocket_model_has_no_revisions(monkeypatch, tmp_path):
    refused(ValueError, "has no revision='v2'", "pocket-sd15", revision="v2")


def test_nor_has_a_folder(folders):
    refused(ValueError, "revision='v2' is for the Hub's models", folders["sd1"], revision="v2")


def test_options_of_single_files_are_not_for_folders(folders):
    for option in ("tokenizer", "config"):
        refused(ValueError, "a folder has its own", folders["sd1"], **{option: folders["sd1"]})


# --- device and dtype ---------------------------------------------------------------------------

DEVICES = [("gpu", "is no device of torch's"), (3.5, "is no device of torch's"), ("meta", "meta")]


@pytest.mark.parametrize(("device", "words"), DEVICES)
def test_devices_that_torch_does_not_have(folders, device, words):
    refused(ValueError, words, folders["sd1"], device=device)


def test_cuda_without_cuda(folders, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(torch.version, "hip", None)
    refused(ValueError, "this torch has no CUDA", folders["sd1"], device="cuda")
    monkeypatch.setattr(torch.version, "cuda", "12.8")
    refused(ValueError, "finds no CUDA GPU", folders["sd1"], device="cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    refused(ValueError, "there are 1 CUDA GPUs", folders["sd1"], device="cuda:7")


def test_mps_without_mps(folders, monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    refused(ValueError, "no Apple GPU", folders["sd1"], device="mps")


@pytest.mark.parametrize("dtype", ["int8", "half precision", torch.int64, torch.float64, 16])
def test_precisions_that_no_model_computes_in(folders, dtype):
    refused(ValueError, "is not one of float32, fp32", folders["sd1"], dtype=dtype)


# --- folders ------------------------------------------------------------------------------------


def test_an_empty_folder(tmp_path):
    refused(FileNotFoundError, "is empty", tmp_path)


def test_a_folder_of_something_else(tmp_path):
    (tmp_path / "holiday.txt").write_text("sea")
    refused(FileNotFoundError, "pipe.save_pretrained(folder)", tmp_path)


def test_a_folder_of_single_files(tmp_path):
    save_file({"a": torch.zeros(1)}, tmp_path / "one.safetensors")
    refused(FileNotFoundError, "one.safetensors", tmp_path)


STRANGERS = [
    ("StableDiffusion3Pipeline", "is Stable Diffusion 3"),
    ("FluxPipeline", "is FLUX"),
    ("KandinskyV22Pipeline", "is Kandinsky"),
    ("StableVideoDiffusionPipeline", "is Stable Video Diffusion"),
    ("StableDiffusionControlNetPipeline", "is a pipeline with a ControlNet"),
    ("StableDiffusionXLControlNetPipeline", "is a pipeline with a ControlNet"),
    ("StableDiffusionUpscalePipeline", "is the x4 upscaler"),
    ("StableDiffusionDepth2ImgPipeline", "is the depth-to-image model"),
    ("LatentConsistencyModelPipeline", "is a latent consistency model"),
    ("SomethingNewPipeline", "is a SomethingNewPipeline"),
]


@pytest.mark.parametrize(("kind", "words"), STRANGERS)
def test_folders_of_other_families(copy, kind, words):
    folder = copy()
    change(folder / "model_index.json", _class_name=kind)
    said = refused(ValueError, words, folder)
    assert "SD 1.x, SD 2.x, SDXL base" in said


def test_a_controlnet_alone(tmp_path):
    (tmp_path / "config.json").write_text('{"_class_name": "ControlNetModel"}')
    refused(ValueError, "is a ControlNet alone", tmp_path)


def change(path, **values):
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


INDEX = [
    ({"unet": [None, None]}, "has no unet in its index"),
    ({"vae": ["diffusers", "AutoencoderTiny"]}, "a model's own code is never run"),
    ({"unet": ["my_unet", "MyUNet"]}, "a model's own code is never run"),
    ({"unet": "UNet2DConditionModel"}, "expected is [library, class]"),
    ({"text_encoder": [None, None]}, "has no text encoder"),
]


@pytest.mark.parametrize(("values", "words"), INDEX)
def test_an_index_that_names_other_parts(copy, values, words):
    folder = copy()
    change(folder / "model_index.json", **values)
    refused(ValueError, words, folder)


def test_an_index_that_is_damaged(copy):
    folder = copy()
    (folder / "model_index.json").write_text('{"_class_name": "Stable')
    refused(ValueError, "model_index.json is damaged", folder)
    (folder / "model_index.json").write_text("[1, 2]")
    refused(ValueError, "must hold an object of settings", folder)


def test_a_scheduler_that_is_not_diffusers_own(copy):
    folder = copy()
    change(folder / "scheduler" / "scheduler_config.json", _class_name="MyScheduler")
    refused(ValueError, "The scheduler 'MyScheduler' is none of diffusers'", folder)


def test_a_prediction_that_no_family_has(copy):
    folder = copy()
    change(folder / "scheduler" / "scheduler_config.json", prediction_type="flow_prediction")
    refused(ValueError, "the network answers 'flow_prediction'", folder)


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder", "tokenizer", "scheduler"])
def test_a_part_that_is_missing(copy, part):
    import shutil

    folder = copy()
    shutil.rmtree(folder / part)
    refused(FileNotFoundError, part, folder)


UNET = "unet/diffusion_pytorch_model.safetensors"


def test_weights_that_are_cut_short(copy):
    folder = copy()
    whole = (folder / UNET).read_bytes()
    for length in (0, 4, 100, len(whole) - 1):
        (folder / UNET).write_bytes(whole[:length])
        refused(ValueError, "is cut short, or no safetensors file", folder)


def test_a_pointer_of_git_lfs(copy):
    folder = copy()
    (folder / UNET).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    refused(ValueError, "git lfs pull", folder)


def test_a_checkout_without_symbolic_links(copy):
    folder = copy()
    (folder / UNET).write_text("../../other/unet/diffusion_pytorch_model.safetensors")
    refused(ValueError, "git config core.symlinks true", folder)
    shutil.rmtree(folder / "vae")
    (folder / "vae").write_text("../other/vae")
    refused(ValueError, "git config core.symlinks true", folder)
    folder = copy(name="another")
    shutil.rmtree(folder / "tokenizer")
    (folder / "tokenizer").write_text("../other/tokenizer")
    refused(ValueError, "git config core.symlinks true", folder)


def test_weights_with_a_gap_are_not_filled_with_noise(copy):
    folder = copy()
    weights = load_file(folder / UNET)
    del weights["conv_in.weight"]
    save_file(weights, folder / UNET)
    refused(ValueError, "lacks 1 of its weights, conv_in.weight the first", folder)


def test_weights_of_another_config(copy):
    folder = copy()
    change(folder / "unet" / "config.json", cross_attention_dim=40)
    refused(ValueError, "its config asks for", folder)


def test_a_shard_that_is_missing(tmp_path):
    tiny.pipeline("sd1").save_pretrained(tmp_path, max_shard_size="100KB")
    sorted((tmp_path / "unet").glob("*-of-*.safetensors"))[1].unlink()
    refused(FileNotFoundError, "was not fetched, or not saved, whole", tmp_path)


# --- pickles ------------------------------------------------------------------------------------


class Bomb:
    """What a malicious checkpoint holds: opening it runs code."""

    def __reduce__(self):
        return exec, ("raise SystemExit('the pickle ran')",)


@pytest.mark.parametrize("ending", [".ckpt", ".pt", ".pth", ".bin", ".safetensors"])
def test_a_pickle_is_never_opened(tmp_path, ending):
    path = tmp_path / f"model{ending}"
    torch.save(Bomb(), path)
    assert "A pickle can run any code" in refused(ValueError, "pickle", path)


def test_an_old_pickle_with_another_ending(tmp_path):
    path = tmp_path / "model.safetensors"
    torch.save(Bomb(), path, _use_new_zipfile_serialization=False)
    refused(ValueError, "is a pickle with another ending", path)


def command(said):
    """The command that an error tells, as a list."""
    return [sys.executable, "-c", re.search(r'python -c "(.*)"', said).group(1)]


def test_the_way_to_convert_a_file_is_right(tmp_path, folders):
    folder = parts(folders["sd1"], device="cpu")
    path = tmp_path / "model.ckpt"
    weights = ldm_layout.checkpoint(folder.networks, "sd1")
    torch.save({"state_dict": weights, "global_step": 470_000}, path)
    subprocess.run(command(refused(ValueError, "convert", path)), check=True)
    loaded = parts(tmp_path / "model.safetensors", device="cpu", config=folders["sd1"])
    assert torch.equal(loaded.unet.conv_in.weight, folder.unet.conv_in.weight)
    torch.save({"state_dict": weights, "callbacks": Bomb()}, path)
    done = subprocess.run(command(refused(ValueError, "convert", path)), stderr=subprocess.PIPE)
    assert done.returncode == 1 and b"the pickle ran" not in done.stderr


def test_the_way_to_convert_a_folder_is_right(tmp_path, folders):
    tiny.pipeline("sd1").save_pretrained(tmp_path / "old", safe_serialization=False)
    for file in (tmp_path / "old").rglob("*.safetensors"):  # transformers 5 saves nothing else
        torch.save(load_file(file), file.with_name("pytorch_model.bin"))
        file.unlink()
    said = refused(ValueError, "is a pickled checkpoint", tmp_path / "old")
    subprocess.run(command(said), check=True, capture_output=True)
    loaded = parts(tmp_path / "old-safe", device="cpu")
    expected = parts(folders["sd1"], device="cpu")
    assert torch.equal(loaded.unet.conv_in.weight, expected.unet.conv_in.weight)


# --- single files -------------------------------------------------------------------------------


@pytest.fixture
def single(tmp_path, folders):
    """Write a single checkpoint, changed by a function."""

    def write(kind="sd1", change=dict, name="checkpoint"):
        loaded = parts(folders[kind], device="cpu")
        weights = change(ldm_layout.checkpoint(loaded.networks, loaded.family.name))
        path = tmp_path / f"{name}.safetensors"
        save_file({key: tensor.contiguous() for key, tensor in weights.items()}, path)
        return path

    return write


def without(prefix):
    return lambda weights: {k: v for k, v in weights.items() if not k.startswith(prefix)}


FILES = [
    ("joint_blocks.0.x", "is Stable Diffusion 3"),
    ("double_blocks.0.img_attn.qkv.weight", "is FLUX"),
    ("lora_unet_down_blocks_0.lora_down.weight", "is a LoRA"),
    ("unet.down_blocks.0.attn.lora_A.weight", "is a LoRA"),
    ("control_model.input_blocks.0.0.weight", "is a ControlNet"),
    ("emb_params", "is a textual inversion"),
    ("down_blocks.0.resnets.0.norm1.weight", "is one network in diffusers' naming"),
    ("text_model.embeddings.token_embedding.weight", "is one network in transformers' naming"),
    ("my.favourite.weights", "holds no Stable Diffusion checkpoint"),
]


@pytest.mark.parametrize(("key", "words"), FILES)
def test_files_of_other_kinds(tmp_path, key, words):
    save_file({key: torch.zeros(1)}, tmp_path / "file.safetensors")
    refused(ValueError, words, tmp_path / "file.safetensors")


def test_a_file_without_all_parts(single, folders):
    for prefix, words in (
        ("first_stage_model.", "no autoencoder"),
        ("cond_stage_model.", "no text encoder"),
    ):
        refused(ValueError, words, single(change=without(prefix)), config=folders["sd1"])
    first = without("model.diffusion_model.input_blocks.0.0.weight")
    refused(ValueError, "its U-Net's first weights", single(change=first), config=folders["sd1"])
    gap = without("model.diffusion_model.out.2.weight")
    refused(ValueError, "lacks 1 of its weights", single(change=gap), config=folders["sd1"])


def test_a_file_of_another_size_than_any_published(single, folders):
    said = refused(ValueError, "they are not of one model", single(), tokenizer=folders["sd1"])
    assert "config=" in said


def test_a_file_with_the_config_of_another_family(single, folders):
    refused(ValueError, "not a model of", single("sd1"), config=folders["sdxl"])


def test_a_config_that_nobody_knows(single, folders):
    refused(ValueError, "Did you mean sd15", single(), config="sd-15", tokenizer=folders["sd1"])


def test_a_config_that_is_another_folder(single, tmp_path):
    refused(FileNotFoundError, "has no unet/config.json", single(), config=tmp_path)


def test_a_file_without_a_tokenizer(single):
    refused(FileNotFoundError, "Pass one: load(file, tokenizer=folder)", single())
    refused(FileNotFoundError, "has no tokenizer", single(), tokenizer="nowhere")


def test_a_file_of_sd2_does_not_say_what_it_predicts(single, folders):
    path = single("sd2-v")
    with pytest.warns(UserWarning, match="config='sd21-base'"), pytest.raises(ValueError):
        parts(path, device="cpu", tokenizer=folders["sd1"])


def test_endings_that_are_no_checkpoints(tmp_path):
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    refused(ValueError, "a checkpoint ends in .safetensors", tmp_path / "model.gguf")


# --- wrap ---------------------------------------------------------------------------------------


def test_wrapping_what_is_no_pipeline():
    for thing in ("sd15", None, torch.nn.Linear(1, 1)):
        with pytest.raises(TypeError, match=r"goes to load\(\)"):
            parts_of(thing)
    pipe = tiny.pipeline("sd1")
    with pytest.raises(TypeError, match=r"goes to wrap\(\)"):
        loading.find(pipe)


def test_wrapping_a_pipeline_of_another_family():
    pipe = tiny.pipeline("sd1")
    other = diffusers.StableDiffusionInstructPix2PixPipeline(
        **pipe.components, requires_safety_checker=False
    )
    with pytest.raises(ValueError, match="InstructPix2Pix"):
        wrap(other) if _has_pipeline() else parts_of(other)


def test_wrapping_a_pipeline_without_a_unet():
    pipe = tiny.pipeline("sd1")
    pipe.unet = None
    with pytest.raises(ValueError, match="without a U-Net"):
        parts_of(pipe)


@pytest.mark.parametrize("how", ["meta", "hooks"])
def test_wrapping_a_pipeline_whose_weights_are_elsewhere(how):
    pipe = tiny.pipeline("sd1")
    if how == "meta":
        pipe.vae.to("meta")
    else:
        cpu_offload_with_hook(pipe.vae, "cpu")  # what enable_model_cpu_offload() does
    with pytest.raises(ValueError, match=r"pipeline's vae is offloaded.*without enable_model"):
        parts_of(pipe)


def _has_pipeline():
    import importlib.util

    return importlib.util.find_spec("sdlearn.stages.pipeline") is not None


@pytest.mark.parametrize("length", [4, 100, 100_000])
def test_weights_cut_short_are_no_pickle(tmp_path, length):
    """A safetensors file may begin with a pickle's first byte: its header's length ends in it."""
    path = tmp_path / "model.safetensors"
    save_file({"x": torch.zeros(40_000)}, path, metadata={"pad": " " * 41})
    whole = path.read_bytes()
    header = int.from_bytes(whole[:8], "little")
    grown = header + (0x80 - header) % 256
    changed = grown.to_bytes(8, "little") + whole[8 : 8 + header].ljust(grown) + whole[8 + header :]
    assert changed[:1] == b"\x80"
    path.write_bytes(changed[:length])
    refused(ValueError, "is cut short", path)


def test_a_near_name_is_suggested_once():
    said = refused(ValueError, "Did you mean", "Pocket-SD15")
    (near,) = re.findall(r"Did you mean (.*?)\?", said)
    assert len(set(near.split(" or "))) == len(near.split(" or "))
