# SPDX-License-Identifier: Apache-2.0
"""Model folders that are wrong in one place are refused by the real program, in one
sentence that names the place; folders that only look different make the same film."""
import json
import os
import shutil
import struct

import pytest
from conftest import ROOT


@pytest.fixture
def info(run, model_copy):
    """Opens the model, which checks all of it."""
    def call():
        return run("info", model_copy, timeout=60)
    return call


@pytest.fixture
def refused(info):
    def check(*words):
        result = info()
        assert result.code != 0, result.out
        text = result.err.strip()
        assert text.startswith("phonofilm") and len(text.split("\n")) == 1, text
        for word in words:
            assert str(word) in text, text
    return check


def edit(path, **changes):
    value = json.loads(path.read_text())
    for key, new in changes.items():
        if new is ...:
            value.pop(key)
        else:
            value[key] = new
    path.write_text(json.dumps(value))


def spell(path, key, text):
    """Gives a member a value that no JSON writer would write."""
    value = json.loads(path.read_text())
    value[key] = "@@"
    path.write_text(json.dumps(value).replace('"@@"', text))


def read_tensors(path):
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + size])
    header.pop("__metadata__", None)
    body = data[8 + size:]
    return {name: [t["dtype"], t["shape"], body[slice(*t["data_offsets"])]]
            for name, t in header.items()}


def write_tensors(path, tensors):
    header, at = {}, 0
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape,
                        "data_offsets": [at, at + len(data)]}
        at += len(data)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text
                     + b"".join(t[2] for t in tensors.values()))


def change(path, what):
    tensors = read_tensors(path)
    what(tensors)
    write_tensors(path, tensors)


# --- configurations ------------------------------------------------------------------

VIDEO, LOW, AUDIO, BRIDGE = "video_dit", "video_dit_2", "audio_dit", "dual_tower_bridge"


@pytest.mark.parametrize("component, key, value", [
    *[(VIDEO, key, True) for key in (
        "has_image_input", "has_image_pos_emb", "has_ref_conv", "add_control_adapter",
        "fuse_vae_embedding_in_latents", "require_clip_embedding",
        "seperated_timestep")],
    (AUDIO, "seperated_timestep", True),
    (VIDEO, "_class_name", "CogVideoXTransformer3DModel"),
    (AUDIO, "_class_name", "WanModel"),
    (BRIDGE, "_class_name", "Bridge"),
    ("video_vae", "_class_name", "AutoencoderKL"),
    ("audio_vae", "_class_name", "AutoencoderOobleck"),
    (VIDEO, "num_heads", 5), (VIDEO, "num_heads", 6), (VIDEO, "num_heads", 0),
    (VIDEO, "dim", -96), (VIDEO, "dim", 96.0), (VIDEO, "dim", "96"),
    (VIDEO, "dim", None), (VIDEO, "dim", 1 << 40), (VIDEO, "dim", [96]),
    (VIDEO, "num_layers", 3), (VIDEO, "num_layers", 1 << 62), (VIDEO, "freq_dim", 63),
    (VIDEO, "eps", -1), (VIDEO, "eps", True), (VIDEO, "patch_size", [1, 2]),
    (VIDEO, "patch_size", [2, 2, 2]), (VIDEO, "patch_size", [1, 0, 2]),
    (VIDEO, "patch_size", 2), (VIDEO, "has_image_input", 0),
    (AUDIO, "patch_size", [1, 1, 1]), (AUDIO, "vae_type", "tape"),
    (BRIDGE, "head_dim", 7), (BRIDGE, "head_dim", 48), (BRIDGE, "head_dim", 0),
    (BRIDGE, "interaction_strategy", "psychic"), (BRIDGE, "audio_fps", 0),
    (BRIDGE, "interaction_strategy", 3), (BRIDGE, "pooled_adaln", "no"),
    ("video_vae", "dim_mult", []), ("video_vae", "dim_mult", [1, 2, 4]),
    ("video_vae", "latents_std", [0.0] * 16), ("video_vae", "latents_mean", [0.0] * 15),
    ("video_vae", "temperal_downsample", [False, 1, 1]),
    ("video_vae", "patch_size", 2), ("video_vae", "attn_scales", [0.5]),
    ("audio_vae", "encoder_rates", [2, 3, 4, 5, 0]),
    ("audio_vae", "decoder_rates", [8, 5, 4, 3]), ("audio_vae", "sample_rate", 0),
    ("audio_vae", "continuous", False), ("audio_vae", "decoder_dim", 33),
])
def test_values(refused, model_copy, component, key, value):
    edit(model_copy / component / "config.json", **{key: value})
    refused(component, key)


@pytest.mark.parametrize("component, key", [
    (VIDEO, "dim"), (VIDEO, "num_heads"), (VIDEO, "num_layers"), (VIDEO, "ffn_dim"),
    (AUDIO, "in_dim"), (AUDIO, "out_dim"), (AUDIO, "text_dim"), (AUDIO, "freq_dim"),
    (BRIDGE, "visual_layers"), (BRIDGE, "audio_layers"), (BRIDGE, "head_dim"),
    (BRIDGE, "visual_hidden_dim"), (BRIDGE, "audio_hidden_dim"),
    ("audio_vae", "latent_dim"), ("audio_vae", "decoder_rates"),
    ("text_encoder", "d_model"),
])
def test_missing_keys(refused, model_copy, component, key):
    edit(model_copy / component / "config.json", **{key: ...})
    refused(f"{component}/config.json", key, "missing")


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e999", "1e-6.0",
                                  "18446744073709551616", "-0x1", "01", "\"\\u0000\""])
@pytest.mark.parametrize("component", [VIDEO, BRIDGE, "audio_vae"])
def test_numbers_that_are_none(refused, model_copy, component, text):
    key = {VIDEO: "eps", BRIDGE: "audio_fps", "audio_vae": "sample_rate"}[component]
    spell(model_copy / component / "config.json", key, text)
    refused(f"{component}/config.json")


@pytest.mark.parametrize("text", ["", "[]", "3", "null", "{", '{"dim": 1, "dim": 2}',
                                  "\xff\xfe", "{}" * 2, "[" * 100000])
def test_configs_that_are_no_object(refused, model_copy, text):
    (model_copy / VIDEO / "config.json").write_bytes(text.encode("latin-1"))
    refused(f"{VIDEO}/config.json")


def test_configs_as_windows_saves_them(info, model_copy):
    for path in model_copy.rglob("*.json"):
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    result = info()
    assert result.code == 0, result.err


def test_configs_in_utf_16(refused, model_copy):
    for name in (f"{AUDIO}/config.json", f"{VIDEO}/{SINGLE}.index.json",
                 "scheduler/scheduler_config.json", "model_index.json"):
        path = model_copy / name
        path.write_bytes(path.read_text().encode("utf-16"))
        refused(name, "UTF-16")


@pytest.mark.parametrize("key, value", [
    ("_class_name", "UniPCMultistepScheduler"), ("shift", 0), ("shift", "5"),
    ("num_train_timesteps", 0), ("sigma_max", 2), ("shift_terminal", 1),
    ("use_karras_sigmas", True), ("exponential_shift", True), ("extra_one_step", 1),
])
def test_scheduler(refused, model_copy, key, value):
    edit(model_copy / "scheduler" / "scheduler_config.json", **{key: value})
    refused("scheduler_config.json", key)


@pytest.mark.parametrize("name, key, value", [
    ("model_index.json", "_class_name", "WanPipeline"),
    ("model_index.json", "audio_vae_type", "oobleck"),
    ("model_index.json", "boundary_ratio", 1.5),
    ("generation_config.json", "height", 0),
    ("generation_config.json", "fps", "fast"),
    ("generation_config.json", "guidance_scale_2", -1),
    ("generation_config.json", "made_for", "films"),
    ("generation_config.json", "made_for", {"sizes": ["20x20"]}),
    ("generation_config.json", "made_for", {"num_frames": [50]}),
    ("generation_config.json", "made_for", {"language": ["en"]}),
])
def test_files_beside_the_components(refused, model_copy, name, key, value):
    edit(model_copy / name, **{key: value})
    refused(name, key)


def test_scales_of_the_model(run, model, model_copy, tmp_path):
    """A request begins with both guidance scales of the model, and may change each."""
    edit(model_copy / "generation_config.json", guidance_scale=3, guidance_scale_2=1)

    def latents(folder, *words):
        file = tmp_path / "film.latents"
        result = run("generate", "-m", folder, "-p", "Rain.", "--t2va", "-q",
                     "--save-latents", file, "-o", tmp_path / "film.mp4", *words)
        assert result.code == 0, result.err
        return file.read_bytes()

    both, first = latents(model, "-g", 3), latents(model, "-g", 3, "--guidance-scale-2", 1)
    assert first != both
    assert latents(model_copy) == first
    assert latents(model_copy, "--guidance-scale-2", 3) == both
    assert latents(model_copy, "-g", 1) == latents(model, "-g", 1)
    assert latents(model_copy, "-s", 1) == latents(model, "-g", 3, "-s", 1)


# --- parts that do not fit -------------------------------------------------------------


def reshape(model_copy, component, key, value, resize):
    """A configuration with weights that agree with it, but not with the others."""
    edit(model_copy / component / "config.json", **{key: value})
    for path in sorted((model_copy / component).glob("*.safetensors")):
        tensors = read_tensors(path)
        for name, (dtype, shape, _) in tensors.items():
            if name in resize:
                size = 2 if dtype in ("BF16", "F16") else 4
                count = size
                for extent in resize[name]:
                    count *= extent
                tensors[name] = [dtype, resize[name], bytes(count)]
        write_tensors(path, tensors)


def test_text_width(refused, model_copy):
    reshape(model_copy, VIDEO, "text_dim", 60, {"text_embedding.0.weight": [96, 60]})
    refused("text_dim", 60, "d_model", 64)


def test_audio_latents(refused, model_copy):
    reshape(model_copy, AUDIO, "in_dim", 7, {"patch_embedding.weight": [64, 7, 1]})
    refused("in_dim", 7, "latent_dim", 8)


def test_video_latents(refused, model_copy):
    reshape(model_copy, LOW, "in_dim", 40,
            {"patch_embedding.weight": [96, 40, 1, 2, 2]})
    refused("video_dit_2 in_dim", 40, 36)


def test_bridge_width(refused, model_copy):
    edit(model_copy / BRIDGE / "config.json", visual_hidden_dim=128)
    refused(BRIDGE, "config asks for", 128)


# --- weights -----------------------------------------------------------------------------

SINGLE = "diffusion_pytorch_model.safetensors"


def test_a_tensor_is_missing(refused, model_copy):
    change(model_copy / AUDIO / SINGLE,
           lambda tensors: tensors.pop("blocks.1.norm3.bias"))
    refused("blocks.1.norm3.bias", "missing", AUDIO)


def test_a_tensor_of_another_shape(refused, model_copy):
    def turn(tensors):
        tensors["blocks.1.ffn.0.weight"][1].reverse()
    change(model_copy / AUDIO / SINGLE, turn)
    refused("blocks.1.ffn.0.weight", SINGLE, "[64, 160]", "[160, 64]")


def test_a_tensor_of_another_dtype(refused, model_copy):
    def cast(tensors):
        dtype, shape, data = tensors["head.head.bias"]
        tensors["head.head.bias"] = ["I16", shape, data[:2 * shape[0]].ljust(
            2 * shape[0], b"\0")]
    change(model_copy / AUDIO / SINGLE, cast)
    refused("head.head.bias", SINGLE, "I16", "F32, F16 or BF16")


@pytest.mark.parametrize("cut", [1, 1000, -1])
def test_truncated_shards(refused, model_copy, cut):
    shard = sorted((model_copy / VIDEO).glob("*-of-*.safetensors"))[1]
    data = shard.read_bytes()
    shard.write_bytes(data[:-cut] if cut > 0 else data[:4])
    refused(shard.name)


def test_a_missing_shard(refused, model_copy):
    shard = sorted((model_copy / VIDEO).glob("*-of-*.safetensors"))[2]
    shard.unlink()
    refused(shard.name)


LFS = (b"version https://git-lfs.github.com/spec/v1\n"
       b"oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\n"
       b"size 3752160\n")


@pytest.mark.parametrize("content, word", [
    (LFS, "Git LFS"), (b"", "empty"), (b"<!DOCTYPE html>\n<html>...", "web page"),
    (b"<?xml version='1.0'?><Error>", "XML"), (b'{"error": "gated"}', "JSON text"),
    (b"Entry not found", "Entry not found"), (bytes(600), "zeros"),
    (b"PK\3\4" + bytes(60), "zip"), (b"\x80\2}q\0." + bytes(60), "pickle"),
    (b"GGUF\3\0\0\0" + bytes(60), "GGUF"), (b"\x1f\x8b\x08" + bytes(60), "gzip"),
])
def test_weights_that_are_something_else(refused, model_copy, content, word):
    path = model_copy / AUDIO / SINGLE
    path.write_bytes(content)
    refused(path, word)


@pytest.mark.parametrize("name, content, word", [
    ("tokenizer/tokenizer.json", LFS, "Git LFS"), (f"{AUDIO}/config.json", LFS, "Git LFS"),
    ("model_index.json", b"<html>", "web page"), ("generation_config.json", b"", "empty"),
    (f"{VIDEO}/{SINGLE}.index.json", b"Access denied\n", "Access denied"),
])
def test_configs_that_are_something_else(refused, model_copy, name, content, word):
    (model_copy / name).write_bytes(content)
    refused(name, word)


def test_weights_cut_while_they_came(refused, model_copy):
    path = model_copy / AUDIO / SINGLE
    data = path.read_bytes()
    for size in (len(data) - 1, len(data) // 2):
        path.write_bytes(data[:size])
        refused(path, f"has {size} of {len(data)} bytes")
    path.write_bytes(data[:100])
    refused(path, "has 100 bytes", "header", "download it again")
    path.write_bytes(data)
    (model_copy / AUDIO / (SINGLE + ".aria2")).write_bytes(b"\0\1")
    refused(SINGLE + ".aria2", "not whole")


@pytest.mark.parametrize("name, word", [
    (SINGLE + ".part", "not finished"), (SINGLE + ".crdownload", "not finished"),
    ("4d7a21.incomplete", "not finished"), ("pytorch_model.bin", "pickle"),
    ("model.pt", "pickle"), ("model-Q4.gguf", "GGUF"), ("weights.zip", "unpack"),
    ("._" + SINGLE, "holds no .safetensors file"), ("notes.txt", "holds no .safetensors"),
])
def test_something_else_beside_the_config(refused, model_copy, name, word):
    path = model_copy / AUDIO / SINGLE
    path.rename(path.with_name(name))
    refused(AUDIO, name if word[0] != "h" else AUDIO, word)


def test_hidden_files_are_no_shards(info, model_copy):
    """What macOS and downloads leave beside files."""
    (model_copy / VIDEO / (SINGLE + ".index.json")).unlink()
    for path in list(model_copy.rglob("*.*")):
        path.with_name("._" + path.name).write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X")
        path.with_name(path.name + ".part").write_bytes(b"half")
    (model_copy / VIDEO / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    result = info()
    assert result.code == 0 and result.err == "", result.err


def test_shards_that_are_not_there(refused, model_copy):
    index = model_copy / VIDEO / (SINGLE + ".index.json")
    shard = sorted((model_copy / VIDEO).glob("*-of-*.safetensors"))[2]
    count = len(list((model_copy / VIDEO).glob("*-of-*.safetensors")))
    part = shard.with_name(shard.name + ".part")
    shard.rename(part)
    refused(shard, "index names", part.name, "not finished")
    part.unlink()
    refused(shard, "index names", "download it")
    index.unlink()
    refused(VIDEO, f"{count - 1} of the {count} shards")


@pytest.mark.parametrize("place", [f".cache/huggingface/download/{VIDEO}", "../../blobs"])
def test_downloads_by_the_hub_that_go_on(run, model_copy, tmp_path, place):
    """Its program keeps them below the model's folder, or beside the snapshots of its cache."""
    cached = tmp_path / "models--OpenMOSS--MOVA" / "snapshots" / "0123abc"
    cached.parent.mkdir(parents=True)
    model_copy.rename(cached)
    part = cached / place / "4d7a21.0a1b.incomplete"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"half")
    shard = sorted((cached / VIDEO).glob("*-of-*.safetensors"))[2]
    shard.unlink()
    result = run("info", cached)
    assert result.code == 2 and shard.name in result.err and part.name in result.err
    assert "not finished" in result.err
    for path in (cached / VIDEO).glob("*safetensors*"):
        path.unlink()
    result = run("info", cached)
    assert result.code == 2 and "holds no .safetensors file" in result.err, result.err
    assert part.name in result.err and "not finished" in result.err, result.err


def test_links_that_lead_nowhere(refused, model_copy):
    """As in a cache of the hub whose blobs were removed."""
    for name in ("scheduler/scheduler_config.json", f"{AUDIO}/{SINGLE}", f"{LOW}/config.json"):
        path = model_copy / name
        path.unlink()
        path.symlink_to("../../blobs/4d7a21")
    for name in ("scheduler/scheduler_config.json", f"{LOW}/config.json", f"{AUDIO}/{SINGLE}"):
        refused(name, "link to ../../blobs/4d7a21", "not there")
        (model_copy / name).unlink()
        if name.endswith("config.json"):
            shutil.copy(model_copy / VIDEO / "config.json" if LOW in name else
                        ROOT / "models/nano/scheduler/scheduler_config.json", model_copy / name)


@pytest.mark.parametrize("name", ["../video_dit_2/x.safetensors", "/etc/passwd", "..",
                                  "", "a/b.safetensors", 3, None])
def test_paths_in_an_index(refused, model_copy, name):
    index = model_copy / VIDEO / (SINGLE + ".index.json")
    value = json.loads(index.read_text())
    value["weight_map"]["head.modulation"] = name
    index.write_text(json.dumps(value))
    refused(index.name, "head.modulation", "plain file name")


def test_folders_that_are_none(refused, model_copy):
    shutil.rmtree(model_copy / AUDIO)
    refused(AUDIO)
    (model_copy / AUDIO).mkdir()
    refused(AUDIO)
    (model_copy / AUDIO).rmdir()
    (model_copy / AUDIO).write_text("a file")
    refused(AUDIO)


def test_a_config_that_is_none(refused, model_copy):
    path = model_copy / AUDIO / "config.json"
    path.unlink()
    path.mkdir()
    refused("config.json", "regular file")
    path.rmdir()
    os.mkfifo(path)
    refused("config.json", "regular file")
    path.unlink()
    path.symlink_to("config.json")
    refused("config.json")


def test_a_model_that_is_none(run, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("{}")
    for name in ("empty", "file", "none"):
        result = run("info", tmp_path / name)
        assert result.code != 0 and name in result.err, result.err


def test_the_folder_that_is_meant(run, model_copy, tmp_path):
    """The one above, below, or in a cache of the hub."""
    cache = tmp_path / "hub" / "models--OpenMOSS--MOVA-360p"
    (cache / "blobs").mkdir(parents=True)
    snapshot = cache / "snapshots" / "0123abc"
    snapshot.parent.mkdir()
    snapshot.symlink_to(model_copy)
    (tmp_path / "unfinished").mkdir()
    (tmp_path / "unfinished" / "model_index.json.incomplete").write_text("{")
    (tmp_path / "plain").mkdir()
    for given, *words in ((model_copy / VIDEO, "folder above", model_copy),
                          (model_copy / "tokenizer", "folder above", model_copy),
                          (cache, "cache of the hub", snapshot),
                          (cache / "blobs", "cache of the hub", "snapshots/0123abc"),
                          (tmp_path / "unfinished", "not finished"),
                          (tmp_path / "plain", "model_index.json", "dual_tower_bridge"),
                          (tmp_path, "no model itself", model_copy),
                          (model_copy / "model_index.json", "is a file")):
        result = run("info", given)
        assert result.code == 2, result.err
        for word in (given, *words):
            assert str(word) in result.err, result.err
    (model_copy / "model_index.json").unlink()
    result = run("info", model_copy)
    assert result.code == 2 and "parts of a model, but no model_index.json" in result.err
    result = run("info", "OpenMOSS/MOVA-360p")
    assert result.code == 2 and "downloaded first" in result.err


# --- the same film all the same -------------------------------------------------------------


@pytest.fixture
def latents(run, tmp_path):
    def make(model, *flags):
        path = tmp_path / f"latents-{len(list(tmp_path.iterdir()))}.safetensors"
        result = run("generate", "--model-path", model, "--prompt", "x", "--t2va",
                     "--height", "32", "--width", "32", "--num-frames", "5",
                     "--num-inference-steps", "2", "--save-latents", path,
                     "-o", tmp_path / "film.wav", *flags)
        assert result.code == 0, result.err
        return path.read_bytes()[8:]
    return make


def single_file(folder):
    tensors = {}
    for path in sorted(folder.glob("*.safetensors")):
        tensors.update(read_tensors(path))
        path.unlink()
    (folder / (SINGLE + ".index.json")).unlink()
    write_tensors(folder / SINGLE, tensors)


def test_single_file_equals_shards(latents, model, model_copy):
    single_file(model_copy / VIDEO)
    single_file(model_copy / LOW)
    assert latents(model) == latents(model_copy)


def test_shards_without_index_and_links(latents, model, model_copy, tmp_path):
    (model_copy / VIDEO / (SINGLE + ".index.json")).unlink()
    store = tmp_path / "store"
    store.mkdir()
    for path in (model_copy / LOW).glob("*.safetensors"):
        path.rename(store / path.name)
        path.symlink_to(store / path.name)
    assert latents(model) == latents(model_copy)


def test_unaligned_data_in_any_order(latents, model, model_copy):
    def shift(tensors):
        kept = dict(reversed(tensors.items()))
        tensors.clear()
        tensors["a.byte"] = ["U8", [1], b"\0"]
        tensors.update(kept)
    change(model_copy / AUDIO / SINGLE, shift)
    assert latents(model) == latents(model_copy)


def test_ref_rounds_wide_weights(latents, model, model_copy):
    """bf16 values in f32, moved by less than half a step: ref sees no difference."""
    path = model_copy / AUDIO / SINGLE
    tensors = read_tensors(path)
    assert {t[0] for t in tensors.values()} == {"BF16"}

    def store(low):
        write_tensors(path, {name: ["F32", shape, b"".join(
            low + data[i:i + 2] for i in range(0, len(data), 2))]
            for name, (_, shape, data) in tensors.items()})
    ref = latents(model, "--precision", "ref")
    exact = latents(model, "--precision", "f32")
    store(b"\0\0")
    assert latents(model_copy, "--precision", "ref") == ref
    assert latents(model_copy, "--precision", "f32") == exact
    store(b"\x10\x20")
    assert latents(model_copy, "--precision", "ref") == ref
    assert latents(model_copy, "--precision", "f32") != exact


@pytest.mark.parametrize("component, tensor, word", [
    (AUDIO, "blocks.0.ffn.0.bias", "latents"),
    ("audio_vae", "decoder.model.0.bias", "sound"),
    ("text_encoder", "encoder.final_layer_norm.weight", "latents"),
])
def test_weights_that_are_no_numbers(run, model_copy, tmp_path, component, tensor, word):
    for path in (model_copy / component).glob("*.safetensors"):
        tensors = read_tensors(path)
        if tensor in tensors:
            dtype, shape, data = tensors[tensor]
            nan = b"\xc0\x7f" if dtype == "BF16" else b"\0\0\xc0\x7f"
            tensors[tensor][2] = nan * (len(data) // len(nan))
            write_tensors(path, tensors)
    result = run("generate", "--model-path", model_copy, "--prompt", "x", "--t2va",
                 "--height", "32", "--width", "32", "--num-frames", "5",
                 "--num-inference-steps", "2", "-o", tmp_path / "film.wav")
    assert result.code != 0
    assert word in result.err and "finite" in result.err, result.err
    assert not list(tmp_path.glob("film*"))
