# SPDX-License-Identifier: Apache-2.0
"""Commands of other programs: sglang's and MOVA's own work with the name changed."""
import json

import pytest

# As in sglang's page about MOVA and MOVA's README, for one device.
SGLANG = ["--adjust-frames", "false", "--num-gpus", "1", "--ring-degree", "1",
          "--ulysses-degree", "1", "--num-frames", "9", "--fps", "24", "--seed", "67",
          "--num-inference-steps", "1", "--save-output"]


@pytest.fixture
def plan(run, model, picture):
    """A dry run with these flags."""
    def call(*flags, **more):
        return run("generate", "--model-path", model, "--prompt", "A ball.", "--image-path",
                   picture, "--height", "32", "--width", "48", "--dry-run", *flags, **more)
    return call


def test_command_of_sglang(run, model, picture, tmp_path):
    small = ["--height", "32", "--width", "48"]
    made = run("generate", "--model-path", model, "--prompt", "A ball.", "--image-path",
               picture, *SGLANG, *small, cwd=tmp_path)
    assert made.code == 0, made.err
    ours = run("generate", "--model-path", model, "--prompt", "A ball.", "--image-path",
               picture, "--num-frames", "9", "--fps", "24", "--seed", "67", "-s", "1", *small,
               "-o", "ours.mp4", cwd=tmp_path)
    assert ours.code == 0, ours.err
    assert (tmp_path / "film.mp4").read_bytes() == (tmp_path / "ours.mp4").read_bytes()


def test_command_of_mova(run, model, picture, tmp_path):
    small = ["--height", "32", "--width", "48", "--num_frames", "5"]
    made = run("generate", "--ckpt_path", model, "--cp_size", "1", *small, "--prompt",
               "A ball.", "--ref_path", picture, "--output_path", "./data/samples/one.mp4",
               "--seed", "42", "--offload", "cpu", "--attn_type", "fa", "--remove_video_dit",
               "--num_inference_steps", "1", "--cfg_scale", "3.0", "--sigma_shift", "4",
               cwd=tmp_path)
    assert made.code == 0, made.err
    ours = run("generate", "-m", model, "-p", "A ball.", "-i", picture, *small, "--seed", "42",
               "-s", "1", "-g", "3", "--visual-shift", "4", "--audio-shift", "4", "-o",
               "ours.mp4", cwd=tmp_path)
    assert ours.code == 0, ours.err
    assert (tmp_path / "data/samples/one.mp4").read_bytes() == \
        (tmp_path / "ours.mp4").read_bytes()


def test_output_path_may_be_a_folder_that_looks_like_a_film(run, model, tmp_path):
    (tmp_path / "a.mp4").mkdir()
    made = run("generate", "-m", model, "-p", "A ball.", "--t2va", "--height", "32", "--width",
               "32", "--num-frames", "1", "-s", "1", "--output-path", "a.mp4",
               "--output-file-name", "raccoon", cwd=tmp_path)
    assert made.code == 0 and (tmp_path / "a.mp4" / "raccoon.mp4").is_file(), made.err


@pytest.mark.parametrize("flags", [
    ["--adjust-frames", "false"], ["--adjust-frames=false"], ["--adjust_frames", "False"],
    ["--no-adjust-frames"], ["--adjust-frames", "no"], ["--adjust-frames=0"],
    ["--adjust-frames", "--adjust-frames", "false"],
    ["--dit-cpu-offload"], ["--dit-cpu-offload", "true"], ["--dit-cpu-offload=false"],
    ["--no-dit-cpu-offload"], ["--no_dit_cpu_offload"], ["--dit_cpu_offload", "1"],
    ["--enable-torch-compile", "false"], ["--enable_torch_compile=False"],
    ["--no-enable-torch-compile"], ["--warmup", "off"], ["--num_gpus=1"], ["--tp", "1"],
    ["--tp-size", "1"], ["--sp-degree=1"], ["--sp_degree", "1"], ["--save-output", "yes"],
    ["--save-output=true"], ["--pin-cpu-memory"], ["--vae-cpu-offload", "true"],
    ["--text-encoder-cpu-offload"], ["--attention-backend", "fa"], ["--t2va", "false"],
    ["--log-level", "INFO"], ["--performance-mode", "auto"], ["--backend", "sglang"],
    ["--num-outputs-per-prompt", "1"], ["--trust-remote-code"], ["--dtype", "bfloat16"],
])
def test_what_asks_for_nothing_is_taken(plan, flags):
    done = plan(*flags)
    assert done.code == 0 and done.err == "", done.err


@pytest.mark.parametrize("flags, ours", [
    (["--cfg-scale", "2.5"], ["--guidance-scale", "2.5"]),
    (["--sigma_shift=3"], ["--visual-shift", "3", "--audio-shift", "3"]),
    (["--flow-shift", "3", "--audio-flow-shift", "4"],
     ["--visual-shift", "3", "--audio-shift", "4"]),
    (["--dtype", "float32"], ["--precision", "f32"]),
    (["--generator-device", "cpu"], ["--rng", "torch-cpu"]),
    (["--vae-tiling"], ["--vae-tile", "256"]),
    (["--vae-tiling", "false"], []),
])
def test_what_is_here_becomes_our_flag(film, tmp_path, flags, ours):
    one, two = tmp_path / "one.mp4", tmp_path / "two.mp4"
    assert film(one, "-q", *flags).code == 0 and film(two, "-q", *ours).code == 0
    assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize("flags, words", [
    (["--num-gpus", "4"], ["--num-gpus is '4', but must be 1", "one device"]),
    (["--num_gpus=4"], ["--num_gpus is '4'"]), (["--ulysses-degree", "2"], ["--device"]),
    (["--enable-torch-compile"], ["--enable-torch-compile has no effect", "compiled"]),
    (["--enable-torch-compile", "true"], ["leave it out"]),
    (["--no-save-output"], ["--no-save-output has no effect", "--dry-run"]),
    (["--save-output", "false"], ["--save-output has no effect"]),
    (["--lora-path", "x"], ["--lora-path", "merge"]), (["--return-frames"], [".png"]),
    (["--attention-backend", "sage_attn"], ["sage_attn", "exact"]),
    (["--api-key", "secret"], ["--api-key", "--api-key-file"]),
    (["--dit-cpu-offload=perhaps"], ["perhaps", "true or false"]),
    (["--adjust-frames=maybe"], ["maybe", "true or false"]), (["--num-gpus"], ["value"]),
    (["--adjust-frames"], ["--num-frames"]), (["--1080p"], ["1088"]),
])
def test_what_is_not_here_is_refused_by_name(plan, flags, words):
    done = plan(*flags)
    assert done.code == 2 and done.err.count("\n") == 1, done.err
    for word in words:
        assert word in done.err


def test_all_that_is_refused_is_told_at_once(plan):
    done = plan("--num-gpus", "8", "--ring-degree", "2", "--enable-torch-compile", "--tp", "1")
    assert done.code == 2 and done.err.count("\n") == 3
    for flag in ("--num-gpus", "--ring-degree", "--enable-torch-compile"):
        assert flag in done.err


def test_values_are_not_taken_for_flags(run, model, tmp_path):
    """A prompt may be the name of a flag, or say no."""
    for prompt in ("--num-gpus", "false", "--no-quiet"):
        done = run("generate", "-m", model, "--prompt", prompt, "--t2va", "-qs", "1",
                   "--height", "32", "--width", "32", "--num-frames", "1", "-o",
                   tmp_path / "film.mp4")
        assert done.code == 0 and done.out == "", done.err


def test_a_picture_by_address_is_refused(plan):
    done = plan("--last-image-path", "https://example.org/first.png")
    assert done.code == 2 and "is an address" in done.err


def test_settings_of_sglang_in_a_file(plan, tmp_path):
    config = tmp_path / "config.json"
    config.write_text(json.dumps({
        "num_gpus": 1, "sp_size": "1", "tp_size": 1, "num_frames": 9, "fps": 24, "seed": 1024,
        "num_inference_steps": 1, "vae_sp": True, "enable_torch_compile": False,
        "cfg_scale": 3, "t2va": True, "quiet": True}))
    assert plan("--config", config, "--no-t2va").code == 0
    config.write_text(json.dumps({"num_gpus": 4}))
    done = plan("--config", config)
    assert done.code == 2 and "num_gpus is '4', but must be 1" in done.err
    config.write_text(json.dumps({"cfg_scale": "much"}))
    done = plan("--config", config)
    assert done.code == 2 and "cfg_scale is 'much'" in done.err
    config.write_text(json.dumps({"enable_torch_compile": "perhaps"}))
    done = plan("--config", config)
    assert done.code == 2 and "true or false" in done.err


def test_command_of_a_server(run, model, tmp_path):
    """The flags are taken: only the port, which no server may have, is refused."""
    flags = ["--model-path", model, "--host", "192.0.2.1", "--port", "30002",
             "--adjust-frames", "false", "--num-gpus", "1", "--ring-degree", "1",
             "--ulysses-degree", "1", "--tp", "1", "--save-output", "--no-auth",
             "--enable-torch-compile", "false", "--output-path", tmp_path / "films"]
    done = run("serve", *flags)
    assert done.code != 0 and "192.0.2.1" in done.err, done.err
    done = run("serve", *flags, "--adjust-frames", "--webui-port", "80", "--num-gpus", "2")
    assert done.code == 2 and done.err.count("\n") == 3, done.err
