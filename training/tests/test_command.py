# SPDX-License-Identifier: Apache-2.0
"""The command around the training: its options, one at a time, and what a killed, a
failed or a second one leaves."""
import fcntl
import os
import resource
import subprocess
import sys

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from training import export, parallel, store  # noqa: E402


def command(*options):
    """(exit status, the last line of standard error)."""
    done = subprocess.run([sys.executable, "-m", "training", *options],
                          capture_output=True, text=True, timeout=300)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr.splitlines()[-1]


@pytest.mark.parametrize("options, word", [
    (["--hours", "0"], "--hours"), (["--hours", "-1"], "--hours"),
    (["--hours", "nan"], "--hours"), (["--seed", "-1"], "--seed"),
    (["--init", "/nowhere"], "/nowhere"), (["--new-text"], "--init"),
    pytest.param(["--preset", "gpu"], "GPU", marks=pytest.mark.skipif(
        torch.cuda.is_available(), reason="there is a GPU"))])
def test_wrong_options(tmp_path, options, word):
    """One sentence, and no run that the right options would not fit."""
    code, message = command("all", "--folder", str(tmp_path / "run"), *options)
    assert code == 2 and word in message
    assert not (tmp_path / "run").exists()


def test_one_command_at_a_time(tmp_path):
    with open(tmp_path / "run.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        code, message = command("all", "--folder", str(tmp_path))
    assert code == 1 and "another command" in message
    assert not (tmp_path / "run.json").exists()


def test_half_written_files_go(tmp_path):
    """Those of a killed command, when the next one begins; here one that is refused."""
    store.save_json(str(tmp_path / "run.json"), dict(seed=2))
    (tmp_path / "latents").mkdir()
    for name in ("towers.checkpoint.77.part", "latents/00001.pt.78.part"):
        (tmp_path / name).write_bytes(b"half a file")
    code, message = command("all", "--folder", str(tmp_path))
    assert code == 1 and "give the same options" in message
    assert sorted(os.listdir(tmp_path)) == ["latents", "run.json", "run.lock"]
    assert not os.listdir(tmp_path / "latents")


def stage(seconds):
    """A process as the command starts them, which works for some seconds."""
    code = f"""import time
from training import parallel
parallel.end_with_parent()
time.sleep({seconds})"""
    return subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE,
                            env=parallel.environments(1, "none")[0])


def test_stage_ends_with_its_command():
    """However the command went: its end of the pipe is closed."""
    left = stage(200)
    left.stdin.close()
    assert left.wait(timeout=100) == 1


def test_stage_ends_by_itself():
    done = stage(0.5)
    assert done.wait(timeout=100) == 0
    done.stdin.close()


def test_damaged_checkpoint(tmp_path):
    path = tmp_path / "towers.checkpoint"
    store.save_checkpoint(str(path), dict(step=torch.arange(1000)))
    whole = path.read_bytes()
    for part in (b"", whole[:100], whole[:-200], b"\0" * len(whole)):
        path.write_bytes(part)
        with pytest.raises(store.Damaged) as damaged:
            store.load_checkpoint(str(path))
        assert str(damaged.value) == str(path)


def test_failed_write_leaves_nothing(tmp_path):
    """The old file stays; half of the new one does not fill a disk that is full, and the
    error is the system's.  Files may not be longer than 1 MB here."""
    path = str(tmp_path / "x.checkpoint")
    store.save_checkpoint(path, dict(step=1))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))
    try:
        with pytest.raises(OSError):
            store.save_checkpoint(path, dict(step=torch.zeros(1 << 20)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert os.listdir(tmp_path) == ["x.checkpoint"]
    assert store.load_checkpoint(path) == dict(step=1)


def test_exported_twice(tmp_path):
    """A model that takes the place of the one it began from tells of its run once."""
    run, model = str(tmp_path / "run"), str(tmp_path / "model")
    store.save_json(f"{run}/run.json", dict(seed=2, init=model))
    store.save_json(f"{model}/training.json", dict(runs=[dict(seed=1)]))
    for stage in export.STAGES:
        store.save_checkpoint(f"{run}/{stage}.checkpoint", dict(seconds=1.0, step=1))
    for _ in range(2):
        store.save_json(f"{model}/training.json", export.history(run, model))
    assert [past["seed"] for past in store.load_json(f"{model}/training.json")["runs"]] == [1, 2]
