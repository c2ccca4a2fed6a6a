# SPDX-License-Identifier: Apache-2.0
"""Limits of containers: cgroups laid over /sys/fs/cgroup in a mount namespace (as root)."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

import pytest
from conftest import PROGRAM

GIB = 1 << 30
can_mount = os.geteuid() == 0 and shutil.which("unshare") and subprocess.run(
    ["unshare", "-m", "mount", "-t", "tmpfs", "none", "/sys/fs/cgroup"],
    capture_output=True).returncode == 0
pytestmark = pytest.mark.skipif(not can_mount, reason="needs root and mount namespaces")


@pytest.fixture
def inside(tmp_path, model):
    """Runs the program where /sys/fs/cgroup holds `files` alone."""
    def call(files, *arguments):
        over = tmp_path / "cgroup"
        shutil.rmtree(over, ignore_errors=True)
        for name, text in files.items():
            (over / name).parent.mkdir(parents=True, exist_ok=True)
            (over / name).write_text(text)
        script = 'mount --bind "$1" /sys/fs/cgroup && shift && exec "$@"'
        return subprocess.run(["unshare", "-m", "sh", "-c", script, "sh", str(over),
                               str(PROGRAM), *arguments], capture_output=True, text=True)
    return call


def machine(done):
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["machine"]


def test_page_cache_of_a_container_is_available(inside, model):
    stat = "anon 50000000\nfile 4200000000\ninactive_file 4100000000\nactive_file 100000000\n"
    group = {"memory.max": str(4 * GIB), "memory.current": "4290000000", "memory.stat": stat}
    found = machine(inside(group, "info", str(model), "--json"))
    assert found["memory_bytes"] == 4 * GIB - 90000000
    assert [x["source"] for x in found["limits"] if x["binds"] and x["of"] == "memory"] == \
        ["/sys/fs/cgroup/memory.max"]


def test_a_full_container_is_named(inside, model, tmp_path):
    group = {"memory.max": str(GIB), "memory.current": str(GIB - 4096)}
    done = inside(group, "generate", "--model-path", str(model), "-p", "A ball.", "--t2va",
                  "-o", str(tmp_path / "film.mp4"))
    assert done.returncode == 1 and "(/sys/fs/cgroup/memory.max)" in done.stderr
    assert not (tmp_path / "film.mp4").exists()


def kind_of_files(path):
    return subprocess.run(["stat", "-f", "-c", "%T", str(path)], capture_output=True,
                          text=True).stdout.strip()


def test_weights_that_lie_in_memory_need_none(inside, model):
    """The reference platform uses weights where they lie; those of /dev/shm are there."""
    if kind_of_files("/dev/shm") != "tmpfs" or kind_of_files(model) == "tmpfs":
        pytest.skip("needs a tmpfs, and a model elsewhere")

    def needed(folder):
        group = {"memory.max": str(GIB), "memory.current": str(GIB)}
        done = inside(group, "generate", "--platform", "reference", "-m", str(folder), "-p",
                      "A ball.", "--t2va", "--dry-run")
        return float(re.search(r"the film needs ([\d.]+) MiB", done.stderr).group(1))
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        copy = pathlib.Path(folder) / "model"
        shutil.copytree(model, copy)
        on_disk, in_memory = needed(model), needed(copy)
    assert in_memory < on_disk - 1


@pytest.mark.parametrize("group", [
    {"cpu.max": "100000 100000"},
    {"cpu.max": "190000 100000"},
    {"cpu.max": "max 100000", "cpuset.cpus.effective": "0"},
    {"cpu/cpu.cfs_quota_us": "50000", "cpu/cpu.cfs_period_us": "100000"},
])
def test_a_quota_is_a_number_of_threads(inside, model, group):
    done = inside(group, "info", str(model), "--json")
    assert machine(done)["threads"] == 1
    assert "1 thread)" in inside(group, "info", str(model)).stdout
    text = inside(group, "info", str(model), "--threads", "2").stdout
    assert "2 threads)" in text


def test_a_quota_takes_its_time(inside, model):
    def seconds(quota):
        done = inside({"cpu.max": quota}, "info", str(model), "--threads", "1", "--json",
                      "--height", "256", "--width", "256")
        return json.loads(done.stdout)["prediction"]["seconds"]
    assert seconds("10000 100000") > 4 * seconds("max 100000")
