# SPDX-License-Identifier: Apache-2.0
"""Options, commands and settings that are not known, and flags as they were written."""
import os

import pytest


@pytest.mark.parametrize("command, argument, meant", [
    ("generate", "--promt", "--prompt"), ("generate", "--size=8x8", "--height"),
    ("generate", "--seconds", "--num-frames"), ("generate", "--cfg=3", "--guidance-scale"),
    ("generate", "--steps", "--num-inference-steps"), ("generate", "-prompt", "--prompt"),
    ("generate", "--ouput", "--output"), ("generate", "\u2014prompt", "--prompt"),
    ("generate", "\u2013-seed=4", "--seed"), ("serve", "--hots", "--host"),
    ("serve", "--outptu", "--output-dir"), ("serve", "--listen", "--host"),
    ("info", "--jsno", "--json"), ("bench", "--treads", "--threads"),
])
def test_unknown_options_suggest_the_nearest(run, tmp_path, command, argument, meant):
    result = run(command, argument, "x", cwd=tmp_path, timeout=20)
    assert result.code == 2 and result.out == ""
    assert f"'{argument.split('=')[0]}'" in result.err
    assert f"did you mean {meant}" in result.err, result.err


def test_what_is_far_from_everything(run, tmp_path):
    result = run("generate", "--zebra", cwd=tmp_path)
    assert result.code == 2 and "'--zebra'" in result.err and "--help" in result.err
    assert "mean" not in result.err


def test_values_are_no_options(run, model, tmp_path):
    """What looks like a slip is a value, or comes after an option that ends the run."""
    flags = ["generate", "-m", model, "--t2va", "--dry-run"]
    for words in (["--prompt", "--promt"], ["-p", "--promt"], ["-p--promt"],
                  ["-qp", "-prompt"], ["--prompt=--size"], ["--promp", "--promt"]):
        result = run(*flags, *words, cwd=tmp_path)
        assert result.code == 0, result.err
    assert run("generate", "--help", "--promt").code == 0
    assert run("generate", "--promt", "--help").code == 2
    result = run("info", "--", "--promt", cwd=tmp_path)
    assert result.code == 2 and "mean" not in result.err        # a folder's name


@pytest.mark.parametrize("words, meant", [
    (["genrate"], "did you mean generate?"), (["serv"], "did you mean serve?"),
    (["help"], "did you mean --help?"), (["--version="], "--version"),
    (["--prompt", "x"], "phonofilm generate --prompt"),
    (["xylophone"], "phonofilm --help"), ([""], "phonofilm --help"),
])
def test_unknown_commands(run, words, meant):
    result = run(*words)
    assert result.code == 2 and meant in result.err and result.out == "", result.err


def test_unknown_settings(run, tmp_path):
    config = tmp_path / "c.json"
    for key, meant in (("promt", "prompt"), ("steps", "num_inference_steps"),
                       ("size", "height and width"), ("image-path", "image_path")):
        config.write_text(f'{{"{key}": "x"}}')
        result = run("generate", "--config", config, cwd=tmp_path)
        assert result.code == 2 and f"did you mean {meant}?" in result.err, result.err


@pytest.mark.parametrize("flags, words", [
    (["-s", "x"], "-s is 'x'"), (["--num-inference-steps=x"], "--num-inference-steps is"),
    (["-qs", "x"], "-s is 'x'"), (["--num-inf", "x"], "--num-inf is"),
    (["--num_inference_steps", "x"], "--num_inference_steps is"),
    (["--t2va", "-i", "x.png"], "--t2va makes a film without a picture; leave -i out"),
    (["--t2va", "--image-path", "x.png"], "leave --image-path out"),
    (["--t2va", "-o", "x.wav", "--no-audio-output"], "--no-audio-output"),
    (["--t2va", "-o", "x.mp4", "--output-path", "y"], "-o and --output-path"),
    (["--t2va", "--output", "x.mp4", "--output-file-name", "y"],
     "--output and --output-file-name"),
    (["--t2va", "-o", "none/x.mp4"], "-o: cannot"),
    (["--t2va", "--output=none/x.mp4"], "--output: cannot"),
    (["-i", "x.png", "--config", "c.json"],
     "t2va in --config makes a film without a picture; leave -i out"),
])
def test_messages_name_flags_as_they_were_written(run, model, tmp_path, flags, words):
    (tmp_path / "c.json").write_text('{"t2va": true}')
    result = run("generate", "-m", model, "-p", "x", *flags, cwd=tmp_path)
    assert result.code == 2 and words in result.err, result.err


def test_a_model_of_the_environment_is_named_so(monkeypatch, run, tmp_path):
    monkeypatch.setenv("PHONOFILM_MODEL", str(tmp_path / "no\nmodel"))
    for command in (["info"], ["generate", "-p", "x", "--t2va"], ["serve"]):
        result = run(*command, cwd=tmp_path)
        assert result.code == 2 and "PHONOFILM_MODEL is" in result.err
        assert "no\\nmodel'" in result.err and os.listdir(tmp_path) == []
