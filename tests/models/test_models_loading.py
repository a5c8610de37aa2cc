"""What is loaded is what was saved: from folders, single files, caches and pipelines at hand."""

import json
import shutil
import warnings

import diffusers
import ldm_layout
import pytest
import tiny
import torch
from safetensors.torch import load_file, save_file

import sdlearn as sd
from sdlearn import _doctor, _resources
from sdlearn.models import hub, loading, models, parts
from sdlearn.models.checkpoints import checkpoint_configs
from sdlearn.models.folders import load_folder, load_tokenizer
from sdlearn.models.loading import parts_of
from sdlearn.models.places import choose_device, choose_dtype
from sdlearn.models.tokenizers import tokenizers_for

CPU = torch.device("cpu")


def write(networks, family, path):
    """Save networks as one file in the original layout."""
    weights = ldm_layout.checkpoint(networks, family)
    save_file({name: tensor.contiguous() for name, tensor in weights.items()}, path)
    return path


def assert_same(ours, theirs):
    """Two sets of parts hold the same networks, bit for bit."""
    assert ours.networks.keys() == theirs.networks.keys()
    for name, network in ours.networks.items():
        state, expected = network.state_dict(), theirs.networks[name].state_dict()
        assert state.keys() == expected.keys()
        assert all(torch.equal(state[key], expected[key]) for key in state), name


def answers(model, prompt="a red cat"):
    """What the networks say to a prompt and some noise, with all that a family needs."""
    unet, generator = model.unet, torch.Generator().manual_seed(0)
    noise = torch.randn(1, unet.config.in_channels, 8, 8, generator=generator).to(unet.dtype)
    hidden, pooled = [], None
    for tokenizer, encoder in (
        (model.tokenizer, model.text_encoder),
        (model.tokenizer_2, model.text_encoder_2),
    ):
        if encoder is not None:
            ids = tokenizer(prompt, padding="max_length", return_tensors="pt").input_ids
            said = encoder(ids, output_hidden_states=True)
            hidden.append(said.hidden_states[-2])
            pooled = said[0]
    extra = None
    if model.family.is_sdxl:
        count = 5 if model.family.name == "sdxl-refiner" else 6
        extra = {"text_embeds": pooled, "time_ids": torch.full((1, count), 64.0).to(unet.dtype)}
    with torch.no_grad():
        eps = unet(
            noise, 500, encoder_hidden_states=torch.cat(hidden, -1), added_cond_kwargs=extra
        ).sample
        return eps, model.vae.decode(noise[:, :4]).sample


@pytest.mark.parametrize("kind", tiny.KINDS)
def test_a_folder_gives_what_was_saved(folders, kind):
    loaded, pipe = parts(folders[kind], device="cpu"), parts_of(tiny.pipeline(kind))
    assert_same(loaded, pipe)
    assert loaded.family == pipe.family
    # The pipeline says all its settings; a folder's say those that a run depends on.
    assert loaded.settings.items() <= pipe.settings.items()
    assert type(loaded.scheduler) is type(pipe.scheduler)
    assert (loaded.tokenizer is None) == (pipe.tokenizer is None)
    assert not any(network.training for network in loaded.networks.values())


@pytest.mark.parametrize("kind", tiny.KINDS)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_folder_answers_bit_for_bit_as_with_diffusers_own_loader(folders, kind, dtype):
    loaded = parts(folders[kind], device="cpu", dtype=dtype)
    reference = diffusers.DiffusionPipeline.from_pretrained(
        str(folders[kind]), dtype=getattr(torch, dtype)
    )
    theirs = parts_of(reference)
    assert_same(loaded, theirs)
    for ours, reference in zip(answers(loaded), answers(theirs), strict=True):
        assert torch.equal(ours, reference)
    for name in ("unet", "vae"):
        ignored = {"_name_or_path", "_diffusers_version"}
        ours, reference = (
            {key: value for key, value in getattr(m, name).config.items() if key not in ignored}
            for m in (loaded, theirs)
        )
        assert ours == reference
    assert loaded.scheduler.config == theirs.scheduler.config


@pytest.mark.parametrize("kind", tiny.KINDS)
def test_a_single_file_gives_the_same_model_as_the_folder(folders, kind, tmp_path):
    folder = parts(folders[kind], device="cpu")
    path = write(folder.networks, folder.family.name, tmp_path / "checkpoint.safetensors")
    single = parts(path, device="cpu", config=folders[kind])
    assert_same(single, folder)
    assert single.family == folder.family
    assert single.settings == folder.settings
    for ours, theirs in zip(answers(single), answers(folder), strict=True):
        # The same weights at other places in memory: a CPU adds them up in another order.
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_names_of_older_libraries_are_understood(copy):
    folder = copy("sd1")
    expected = parts(folder, device="cpu")
    file = folder / "vae" / "diffusion_pytorch_model.safetensors"
    weights = {}
    for name, tensor in load_file(file).items():
        for old, new in (("query", "to_q"), ("key", "to_k"), ("value", "to_v")):
            name = name.replace(f".{new}.", f".{old}.")
        weights[name.replace(".to_out.0.", ".proj_attn.")] = tensor
    assert any("proj_attn" in name for name in weights)
    save_file(weights, file)
    file = folder / "text_encoder" / "model.safetensors"
    weights = load_file(file)
    save_file({f"text_model.{k.removeprefix('text_model.')}": v for k, v in weights.items()}, file)
    assert_same(parts(folder, device="cpu"), expected)


def test_an_old_scheduler_config_is_mended_as_the_pipelines_mend_it(copy):
    folder = copy("sd1")
    old = {
        "_class_name": "DDIMScheduler",
        **{key: value for key, value in tiny.BETAS.items() if key != "steps_offset"},
        "steps_offset": 0,
        "clip_sample": True,
    }
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(old))
    index = json.loads((folder / "model_index.json").read_text())
    index["scheduler"] = ["diffusers", "DDIMScheduler"]
    (folder / "model_index.json").write_text(json.dumps(index))
    mended = parts(folder, device="cpu").scheduler.config
    with pytest.warns(FutureWarning):
        reference = diffusers.StableDiffusionPipeline.from_pretrained(str(folder)).scheduler.config
    assert (mended.steps_offset, mended.clip_sample) == (1, False)
    assert mended.steps_offset == reference.steps_offset
    assert mended.clip_sample == reference.clip_sample


@pytest.mark.filterwarnings("ignore:The configuration file of this scheduler")
def test_what_the_oldest_configs_leave_out_is_mended_as_well(copy):
    """Runs make their scheduler anew from these settings: the mend must live through that."""
    folder = copy("sd1")
    told = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
    old = {"_class_name": "PNDMScheduler", "skip_prk_steps": True, **told}
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(old))
    index = json.loads((folder / "model_index.json").read_text())
    index["scheduler"] = ["diffusers", "PNDMScheduler"]
    (folder / "model_index.json").write_text(json.dumps(index))
    pipe = diffusers.StableDiffusionPipeline.from_pretrained(str(folder), safety_checker=None)
    pipe.scheduler.set_timesteps(3)
    stations = sd.load(folder).schedule(3).timesteps
    theirs = dict.fromkeys(pipe.scheduler.timesteps.tolist())  # PLMS asks twice at the second
    assert [int(t) for t in stations] == list(theirs)


def test_the_oldest_unets_draw_in_the_size_that_pipelines_give_them(copy):
    folder = copy("sd1")
    path = folder / "unet" / "config.json"
    config = json.loads(path.read_text())
    for written, side, expected in (
        ("0.2.2", 32, 64), ("0.8.1", 16, 64), ("0.8.1", 96, 96), ("0.9.0", 32, 32), ("0.42.0", 8, 8)
    ):  # fmt: skip
        path.write_text(json.dumps({**config, "_diffusers_version": written, "sample_size": side}))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pipe = diffusers.StableDiffusionPipeline.from_pretrained(str(folder))
        assert pipe.unet.config.sample_size == expected
        model = sd.load(folder)
        assert model.size == (expected * model.factor,) * 2
        assert sd.anatomy(folder).latent[1:] == (expected, expected)


def test_the_variant_that_fits_the_precision_is_taken(copy):
    folder = copy("sd1")
    full = folder / "unet" / "diffusion_pytorch_model.safetensors"
    save_file(
        {name: torch.full_like(tensor, 2.0).half() for name, tensor in load_file(full).items()},
        full.with_name("diffusion_pytorch_model.fp16.safetensors"),
    )
    names = {"float32": False, "float16": True, "bfloat16": True}
    for name, half in names.items():
        weight = parts(folder, device="cpu", dtype=name).unet.conv_in.weight
        assert weight.dtype == getattr(torch, name)
        assert bool((weight == 2).all()) is half
    full.unlink()
    alone = parts(folder, device="cpu").unet.conv_in.weight
    assert alone.dtype == torch.float32 and bool((alone == 2).all())


def test_weights_in_several_files_are_joined(folders, tmp_path):
    pipe = tiny.pipeline("sd1")
    pipe.save_pretrained(tmp_path / "sharded", max_shard_size="100KB")
    assert len(list((tmp_path / "sharded" / "unet").glob("*-of-*.safetensors"))) > 1
    assert_same(parts(tmp_path / "sharded", device="cpu"), parts(folders["sd1"], device="cpu"))


# --- wrap ---------------------------------------------------------------------------------------


def test_wrapping_copies_nothing():
    pipe = tiny.pipeline("sdxl")
    held = parts_of(pipe)
    names = ("unet", "vae", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2")
    for name in (*names, "scheduler"):
        assert getattr(held, name) is getattr(pipe, name)


@pytest.mark.parametrize("family", ["StableDiffusion", "StableDiffusionXL"])
@pytest.mark.parametrize("task", ["", "Img2Img", "Inpaint"])
def test_every_pipeline_of_the_families_is_taken(family, task):
    pipe = tiny.pipeline("sdxl" if family.endswith("XL") else "sd1")
    other = getattr(diffusers, f"{family}{task}Pipeline").from_pipe(pipe)
    assert parts_of(other).unet is pipe.unet
    assert parts_of(other).family == parts_of(pipe).family


def test_a_pipeline_of_ones_own_is_taken_by_what_it_derives_from():
    class Mine(diffusers.StableDiffusionPipeline):
        pass

    pipe = tiny.pipeline("sd1")
    mine = Mine(**pipe.components, requires_safety_checker=False)
    assert parts_of(mine).unet is pipe.unet


# --- names, the cache, the environment ----------------------------------------------------------


@pytest.fixture
def pocket(monkeypatch, tmp_path, folders):
    """The package's own data with a pocket model in it."""
    shutil.copytree(folders["sd1"], tmp_path / "data" / "models" / "pocket-sd15")
    shutil.copytree(_resources.data_dir() / "configs", tmp_path / "data" / "configs")
    monkeypatch.setattr(_resources, "data_dir", lambda: tmp_path / "data")
    return tmp_path / "data" / "models"


def test_a_pipeline_with_trailing_euler_is_no_turbo(recwarn):
    """An ordinary choice of a sampler: guidance must not be switched off for it."""
    pipe = tiny.pipeline("sd1")
    told = {"timestep_spacing": "trailing"}
    pipe.scheduler = diffusers.EulerDiscreteScheduler.from_config(pipe.scheduler.config, **told)
    assert not parts_of(pipe).family.turbo
    model = sd.wrap(pipe)
    assert model.anatomy().family == model.family
    assert not [one for one in recwarn if "Turbo" in str(one.message)]


def test_without_a_name_it_is_the_pocket_model(pocket):
    assert loading.find().path == pocket / "pocket-sd15"
    assert loading.find().pocket
    assert parts(device="cpu").family.name == "sd1"


def test_the_environment_names_another(pocket, monkeypatch, folders):
    monkeypatch.setenv("SDLEARN_MODEL", str(folders["sdxl"]))
    assert parts(device="cpu").family.name == "sdxl"
    monkeypatch.setenv("SDLEARN_MODEL", "")
    assert loading.find().name == "pocket-sd15"


@pytest.mark.parametrize("repository", loading.entry_of("sd15").repositories)
def test_a_copy_in_the_cache_is_good_under_any_of_its_names(cache, repository):
    folder = cache(repository)
    for name in ("sd15", repository):
        assert loading.find(name).path == folder
        assert loading.find(name).name == "sd15"
    assert parts("sd15", device="cpu").family.name == "sd1"


def test_the_first_choice_comes_first_and_a_repository_by_name_before_it(cache):
    first, old = loading.entry_of("sd15").repositories
    folders = {old: cache(old), first: cache(first)}
    assert loading.find("sd15").path == folders[first]
    assert loading.find(old).path == folders[old]


def test_a_revision_is_a_branch_or_a_commit(cache):
    (repository,) = loading.entry_of("sdxl").repositories
    folder = cache(repository, "sdxl", commit="beef", revision="fixed")
    assert loading.find("sdxl", revision="fixed").path == folder
    assert loading.find("sdxl", revision="beef").path == folder
    with pytest.raises(FileNotFoundError, match="sdxl is not on this machine"):
        loading.find("sdxl")


def test_any_repository_in_the_cache_can_be_named(cache):
    folder = cache("somebody/fine-tune", "sd2-v")
    assert loading.find("somebody/fine-tune").path == folder
    assert parts("somebody/fine-tune", device="cpu").family.prediction == "v"


def test_the_hub_libraries_rules_for_the_cache(monkeypatch, tmp_path):
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert hub.cache_dir().parts[-3:] == (".cache", "huggingface", "hub")
    for name, inside in (
        ("XDG_CACHE_HOME", "huggingface/hub"),
        ("HF_HOME", "hub"),
        ("HF_HUB_CACHE", ""),
    ):
        monkeypatch.setenv(name, str(tmp_path / name))
        assert hub.cache_dir() == tmp_path / name / inside


def test_marks_in_a_file_say_how_a_fine_tune_was_trained(folders, tmp_path):
    """What trainers of v-prediction put into a file; names of the published models tell nothing."""
    path = tmp_path / "fine-tune.safetensors"
    weights = ldm_layout.checkpoint(parts(folders["sdxl"], device="cpu").networks, "sdxl")
    weights = {name: tensor.contiguous() for name, tensor in weights.items()}
    for marks, told in (
        ((), {"prediction_type": "epsilon", "timestep_spacing": "leading"}),
        (("v_pred",), {"prediction_type": "v_prediction", "timestep_spacing": "leading"}),
        (
            ("v_pred", "ztsnr"),
            {
                "prediction_type": "v_prediction",
                "timestep_spacing": "trailing",
                "rescale_betas_zero_snr": True,
            },
        ),
    ):
        save_file(weights | {mark: torch.zeros(0) for mark in marks}, path)
        scheduler = checkpoint_configs(path)["scheduler"]
        assert told.items() <= scheduler.items()
    first = ldm_layout.checkpoint(parts(folders["sd1"], device="cpu").networks, "sd1")
    marked = {name: tensor.contiguous() for name, tensor in first.items()}
    save_file(marked | {mark: torch.zeros(0) for mark in ("v_pred", "ztsnr")}, path)
    assert checkpoint_configs(path)["scheduler"]["_class_name"] == "DDIMScheduler"  # PNDM can't
    save_file(weights | {"edm_vpred.sigma_max": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match=r"'edm_vpred.sigma_max'.*EDM's noise levels"):
        checkpoint_configs(path)


# --- downloads ----------------------------------------------------------------------------------

FILES = [
    *("README.md", "model_index.json", "v1-5-pruned.ckpt", "v1-5-pruned.safetensors"),
    *("unet/config.json", "unet/diffusion_pytorch_model.bin"),
    *("unet/diffusion_pytorch_model.safetensors", "unet/diffusion_pytorch_model.fp16.safetensors"),
    *("unet/diffusion_pytorch_model.non_ema.safetensors", "vae/config.json"),
    *("vae/diffusion_pytorch_model.safetensors", "text_encoder/model.fp16.safetensors"),
    *("text_encoder/model.safetensors", "text_encoder/config.json", "tokenizer/vocab.json"),
    *("tokenizer/merges.txt", "scheduler/scheduler_config.json", "safety_checker/config.json"),
    *("safety_checker/model.safetensors", "text_encoder/pytorch_model.bin"),
]


def test_weights_in_several_files_are_taken_where_no_single_file_is():
    unet, text = "unet/diffusion_pytorch_model", "text_encoder/model"
    shards = [f"{unet}-0000{i}-of-00002.safetensors" for i in (1, 2)]
    half = [f"{text}.fp16-0000{i}-of-00002.safetensors" for i in (1, 2)]
    files = [*shards, f"{unet}.safetensors.index.json", *half, f"{text}.safetensors"]
    files += ["vae/diffusion_pytorch_model.fp16.safetensors", f"{unet}-00001-of-00002.bin"]
    chosen = hub.wanted(files)
    assert {name for name in chosen if name.endswith(".safetensors")} == {
        *(*shards, *half, "vae/diffusion_pytorch_model.fp16.safetensors")
    }
    assert f"{unet}.safetensors.index.json" in chosen and len(chosen) == len(set(chosen))
    assert hub.wanted([*files, f"{unet}.fp16.safetensors"]).count(shards[0]) == 0


def test_a_download_takes_what_a_run_needs_and_nothing_twice():
    assert set(hub.wanted(FILES)) == {
        *("model_index.json", "unet/config.json", "vae/config.json", "text_encoder/config.json"),
        *("unet/diffusion_pytorch_model.fp16.safetensors", "tokenizer/vocab.json"),
        *("vae/diffusion_pytorch_model.safetensors", "text_encoder/model.fp16.safetensors"),
        *("tokenizer/merges.txt", "scheduler/scheduler_config.json"),
    }


@pytest.fixture
def online(monkeypatch, folders):
    """A Hub of which only one repository is left; what is fetched is written down."""
    import huggingface_hub
    from huggingface_hub.errors import RepositoryNotFoundError

    calls = []

    class Api:
        def list_repo_files(self, repository, revision):
            calls.append(("list", repository, revision))
            if repository != "runwayml/stable-diffusion-v1-5":
                raise RepositoryNotFoundError.__new__(RepositoryNotFoundError)
            return FILES

    def fetch(repository, revision, allow_patterns):
        calls.append(("fetch", repository, revision))
        assert allow_patterns == hub.wanted(FILES)
        return str(folders["sd1"])

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    return calls


def test_only_asked_for_is_anything_downloaded_and_mirrors_come_in_order(online):
    with pytest.raises(FileNotFoundError):
        loading.find("sd15")
    assert online == []
    found = loading.find("sd15", download=True)
    first, old = loading.entry_of("sd15").repositories
    assert online == [("list", first, "main"), ("list", old, "main"), ("fetch", old, "main")]
    assert found.name == "sd15"


def test_what_is_here_is_not_fetched_again(online, cache):
    folder = cache("runwayml/stable-diffusion-v1-5")
    assert loading.find("sd15", download=True).path == folder
    assert online == []


BROKEN = [
    ("unet/diffusion_pytorch_model.safetensors", "unet"),
    ("text_encoder/model.safetensors", "text_encoder"),
    ("vae/config.json", "vae"),
    ("scheduler/scheduler_config.json", "scheduler"),
    ("tokenizer/tokenizer.json", "tokenizer"),
]


@pytest.mark.parametrize(("missing", "part"), BROKEN)
def test_a_download_that_was_interrupted_goes_on(online, cache, missing, part):
    folder = cache("runwayml/stable-diffusion-v1-5")
    assert not hub.lacking(folder)
    (folder / missing).unlink()
    assert hub.lacking(folder) == [part]
    row = models()["sd15"]
    assert not row.here and row.nbytes == loading.entry_of("sd15").download_bytes
    (note,) = [f for f in _doctor.weights(folder, hub.cache_dir()) if "in part" in f.text]
    assert note.level == "note" and "download=True" in note.advice
    for name in ("sd15", "runwayml/stable-diffusion-v1-5"):
        with pytest.raises(FileNotFoundError, match=rf"in part.*lacks {part}\..*goes on"):
            loading.find(name)
    assert online == []
    assert loading.find("sd15", download=True).path.is_dir()
    assert online[-1] == ("fetch", "runwayml/stable-diffusion-v1-5", "main")


def test_any_repository_whose_download_was_interrupted_goes_on(online, cache):
    folder = cache("somebody/fine-tune", "sd2-v")
    shutil.rmtree(folder / "unet")
    with pytest.raises(FileNotFoundError, match="somebody/fine-tune is on this machine only in"):
        loading.find("somebody/fine-tune")
    with pytest.raises(LookupError):  # this Hub has it no more, but it was asked
        loading.find("somebody/fine-tune", download=True)
    assert online == [("list", "somebody/fine-tune", "main")]


def test_weights_in_several_files_are_whole_with_the_last_of_them(cache):
    folder = cache("runwayml/stable-diffusion-v1-5")
    stem = folder / "unet" / "diffusion_pytorch_model"
    first, second = (stem.with_name(f"{stem.name}-0000{i}-of-00002.safetensors") for i in (1, 2))
    stem.with_suffix(".safetensors").rename(first)
    index = {"weight_map": {"a": first.name, "b": second.name}}
    stem.with_suffix(".safetensors.index.json").write_text(json.dumps(index))
    assert hub.lacking(folder) == ["unet"]
    second.write_bytes(b"")
    assert not hub.lacking(folder)


def test_a_tokenizer_of_two_files_is_whole_with_both(cache):
    folder = cache("runwayml/stable-diffusion-v1-5")
    (folder / "tokenizer" / "tokenizer.json").unlink()
    (folder / "tokenizer" / "vocab.json").write_text("{}")
    assert hub.lacking(folder) == ["tokenizer"]
    (folder / "tokenizer" / "merges.txt").write_text("")
    assert not hub.lacking(folder)


def test_half_precision_serves_where_the_files_of_full_precision_were_not_fetched(copy):
    folder = copy("sd1")
    stem = folder / "unet" / "diffusion_pytorch_model"
    stem.with_suffix(".safetensors").rename(stem.with_suffix(".fp16.safetensors"))
    index = {"weight_map": {"a": f"{stem.name}-00001-of-00001.safetensors"}}
    stem.with_suffix(".safetensors.index.json").write_text(json.dumps(index))
    assert parts(folder, device="cpu", dtype="float32").unet.dtype == torch.float32
    stem.with_suffix(".fp16.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="00001-of-00001"):
        parts(folder, device="cpu")


def test_pickles_are_no_reason_not_to_fetch(online, cache):
    folder = cache("runwayml/stable-diffusion-v1-5")
    for path in folder.glob("*/*.safetensors"):
        path.rename(path.with_suffix(".bin"))
    assert not hub.lacking(folder) and hub.lacking(folder, pickles=False)
    with pytest.raises(ValueError, match="pickle"):
        parts("sd15", device="cpu")
    assert online == []
    loading.find("sd15", download=True)
    assert online[-1][0] == "fetch"


def test_whole_safetensors_come_before_pickles_of_a_likelier_repository(cache):
    first, second = loading.entry_of("sd15").repositories[:2]
    for path in cache(first).glob("*/*.safetensors"):
        path.rename(path.with_suffix(".bin"))
    whole = cache(second)
    assert loading.find("sd15").path == whole


def test_an_index_that_is_none_is_lacking(cache):
    folder = cache("runwayml/stable-diffusion-v1-5")
    for text in ("", "[]", "{"):
        (folder / "model_index.json").write_text(text)
        assert hub.lacking(folder) == ["model_index.json"]


@pytest.mark.parametrize("name", ["SDLEARN_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline_means_offline(online, monkeypatch, name):
    monkeypatch.setenv(name, "1")
    with pytest.raises(ConnectionError, match=f"{name}=1 forbids downloads"):
        loading.find("sd15", download=True)
    with pytest.raises(FileNotFoundError, match=f"{name}=1 forbids downloads"):
        loading.find("sd15")
    assert online == []


def test_a_hub_out_of_reach_is_explained(online, monkeypatch):
    import huggingface_hub

    class ConnectError(Exception):
        __module__ = "httpx"

    def fail(self, repository, revision):
        raise ConnectError("[Errno 111] Connection refused")

    monkeypatch.setattr(huggingface_hub.HfApi, "list_repo_files", fail)
    with pytest.raises(ConnectionError, match=r"can't be reached.*refused.*use pocket-sd15"):
        loading.find("sd15", download=True)


def test_repositories_that_are_all_gone(online):
    with pytest.raises(LookupError, match="None of these repositories"):
        loading.find("sdxl", download=True)


# --- tokenizers of single files -----------------------------------------------------------------


@pytest.mark.parametrize("kind", ["sd1", "sd2-v", "sdxl", "sdxl-refiner"])
def test_a_tokenizer_from_elsewhere_pads_as_the_family_does(folders, kind, tmp_path):
    folder = parts(folders[kind], device="cpu")
    path = write(folder.networks, folder.family.name, tmp_path / "checkpoint.safetensors")
    alone = folders["sd1"] / "tokenizer"  # pads with the end token
    single = parts(path, device="cpu", config=folders[kind], tokenizer=alone)
    for name in ("tokenizer", "tokenizer_2"):
        ours, theirs = getattr(single, name), getattr(folder, name)
        assert (ours is None) == (theirs is None)
        if ours is not None:
            arguments = {"padding": "max_length", "max_length": 77}
            assert ours("a red cat", **arguments) == theirs("a red cat", **arguments)


@pytest.mark.parametrize("kind", ["sd1", "sd2-v", "sdxl", "sdxl-refiner"])
@pytest.mark.parametrize("lender", ["sd1", "sd2-v", "sdxl"])
def test_so_does_one_from_the_folder_of_another_family(folders, kind, lender):
    own = parts(folders[kind], device="cpu")
    found = tokenizers_for(own.family, folders[lender])
    arguments = {"padding": "max_length", "max_length": 77}
    for name, tokenizer in found.items():
        assert tokenizer("a red cat", **arguments) == getattr(own, name)("a red cat", **arguments)


def test_a_tokenizer_of_two_files_has_as_many_places_as_clip(tmp_path):
    for name in ("vocab.json", "merges.txt"):  # what the message about single files asks for
        shutil.copy(_resources.data_dir() / "models" / "pocket-sd15" / "tokenizer" / name, tmp_path)
    assert load_tokenizer(tmp_path).model_max_length == 77


@pytest.mark.parametrize("kind", ["sd1", "sd2-v", "sdxl"])
def test_a_tokenizer_is_found_in_the_cache(folders, cache, kind):
    loaded = parts(folders[kind], device="cpu")
    cache("CompVis/stable-diffusion-v1-4")  # one tokenizer only
    found = tokenizers_for(loaded.family)
    arguments = {"padding": "max_length", "max_length": 77}
    for name, tokenizer in found.items():
        assert tokenizer("a cat", **arguments) == getattr(loaded, name)("a cat", **arguments)
    assert set(found) == ({"tokenizer", "tokenizer_2"} if kind == "sdxl" else {"tokenizer"})


# --- where it runs ------------------------------------------------------------------------------


def test_a_gpu_computes_in_half_and_a_pocket_model_never():
    for place, pocket, expected in (
        ("cuda", False, torch.float16),
        ("mps", False, torch.float16),
        ("cpu", False, torch.float32),
        ("cuda", True, torch.float32),
    ):
        assert choose_dtype(None, torch.device(place), pocket=pocket) == expected
    assert choose_dtype("bf16", torch.device("cuda"), pocket=True) == torch.bfloat16


def test_cuda_comes_before_mps_and_both_before_the_cpu(monkeypatch):
    for cuda, mps, expected in ((1, 1, "cuda"), (0, 1, "mps"), (0, 0, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda cuda=cuda: bool(cuda))
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda mps=mps: bool(mps))
        assert choose_device().type == expected


def test_parts_move_together(folders):
    loaded = load_folder(folders["sdxl"], device=CPU, dtype=torch.float32)
    assert loaded.device == CPU and loaded.dtype == torch.float32
    full = loaded.nbytes
    assert loaded.to(dtype=torch.bfloat16) is loaded
    assert loaded.dtype == torch.bfloat16 and loaded.nbytes == full // 2
    assert {p.dtype for n in loaded.networks.values() for p in n.parameters()} == {torch.bfloat16}


def test_a_model_says_its_name_and_where_it_came_from(pocket):
    pipeline = pytest.importorskip("sdlearn.stages.pipeline")
    model = loading.load(device="cpu")
    assert isinstance(model, pipeline.Model)
    assert model.name == "pocket-sd15"
    assert isinstance(loading.wrap(tiny.pipeline("sd1")), pipeline.Model)
