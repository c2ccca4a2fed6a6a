# SPDX-License-Identifier: Apache-2.0
"""The ascend platform through the program, over the emulator of CANN."""
import json
import os
import re
import shutil
import subprocess

import pytest

from conftest import BUILD, PROGRAM, ROOT


CANN = BUILD / "tests" / "cann"


def emulated(*arguments, version="8.3", **more):
    environment = {**os.environ, "ASCEND_HOME_PATH": str(CANN / version), **more}
    return subprocess.run([str(PROGRAM), *map(str, arguments)], capture_output=True,
                          text=True, env=environment, timeout=300)


@pytest.fixture(scope="module")
def hollow(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hollow") / "mova"
    subprocess.run([str(BUILD / "tools" / "make_model"), "--preset", "mova-360p",
                    "--hollow", str(folder)], check=True, capture_output=True)
    return folder


def test_without_cann_there_is_a_reason(run):
    result = run("info", "--platforms")
    assert result.code == 0
    line = next(x for x in result.out.splitlines() if x.startswith("ascend"))
    assert "not usable" in line and "libascendcl.so" in line
    assert any(x.startswith("cpu") and "GiB" in x for x in result.out.splitlines())


def reason_for(**more):
    """Why the program says that ascend is not usable."""
    done = emulated("info", "--platforms", **more)
    assert done.returncode == 0, done.stderr
    line = next(x for x in done.stdout.splitlines() if x.startswith("ascend"))
    assert "not usable: " in line
    return line.split("not usable: ")[1]


def copy_of(version, folder):
    shutil.copytree(CANN / version / "lib64", folder / "lib64",
                    ignore=shutil.ignore_patterns("*.p"))
    return str(folder)


def test_a_home_of_nothing(tmp_path):
    assert "libascendcl.so was found neither" in reason_for(ASCEND_HOME_PATH=str(tmp_path))


def test_a_library_that_does_not_load(tmp_path):
    home = copy_of("8.3", tmp_path / "home")
    library = tmp_path / "home" / "lib64" / "libnnopbase.so"
    library.write_bytes(b"nothing that could be loaded")
    reason = reason_for(ASCEND_HOME_PATH=home)
    assert "does not load" in reason and str(library) in reason


@pytest.mark.parametrize("code, meaning", [
    (107000, "an invalid parameter"), (107003, "the stream is not of this context"),
    (107017, "an invalid handle"), (207000, "not supported here"),
    (500000, "an internal error"), (507000, "an internal error"),
    (507015, "an exception on an AI core"), (507035, "an exception on a vector core"),
])
def test_a_code_has_its_meaning(code, meaning):
    reason = reason_for(CANN_EMULATOR_FAIL=f"aclrtSetDevice:1:{code}")
    assert f"aclrtSetDevice failed with {code} ({meaning})" in reason


@pytest.mark.parametrize("library", ["libascendcl.so", "libnnopbase.so", "libopapi.so"])
def test_a_library_that_is_cut_off(tmp_path, library):
    home = copy_of("8.3", tmp_path / "home")
    path = tmp_path / "home" / "lib64" / library
    path.write_bytes(path.read_bytes()[:path.stat().st_size // 2])
    assert reason_for(ASCEND_HOME_PATH=home).endswith(f"{path}: the file is cut off")


def test_a_part_of_the_operators_that_is_missing(tmp_path):
    home = copy_of("9.0", tmp_path / "home")
    path = tmp_path / "home" / "lib64" / "libopapi_nn.so"
    path.unlink()
    assert str(path) in reason_for(ASCEND_HOME_PATH=home)


@pytest.mark.parametrize("library, name", [
    ("libascendcl.so", b"aclrtMallocHost"),
    ("libnnopbase.so", b"aclCreateIntArray"),
    ("libopapi.so", b"aclnnAddmm"),
    ("libopapi.so", b"aclnnStdGetWorkspaceSize"),
])
def test_a_function_that_is_missing(tmp_path, library, name):
    home = copy_of("8.3", tmp_path / "home")
    path = tmp_path / "home" / "lib64" / library
    whole = path.read_bytes()
    assert b"\0" + name + b"\0" in whole
    path.write_bytes(whole.replace(b"\0" + name + b"\0", b"\0X" + name[1:] + b"\0"))
    assert reason_for(ASCEND_HOME_PATH=home) == f"CANN lacks the function {name.decode()}"


@pytest.mark.parametrize("home, other", [("8.1", "9.0"), ("9.0", "8.1")])
def test_versions_are_not_mixed(tmp_path, home, other):
    log = tmp_path / "log"
    done = emulated("info", "--platforms", version=home, LD_DEBUG="files",
                    LD_DEBUG_OUTPUT=str(log), ASCEND_TOOLKIT_HOME=str(CANN / other))
    assert f"CANN {home}" in done.stdout
    loaded = "".join(p.read_text() for p in tmp_path.iterdir())
    assert f"calling init: {CANN}/{home}/" in loaded
    assert f"calling init: {CANN}/{other}/" not in loaded


def test_no_device(model):
    assert "no device" in reason_for(CANN_EMULATOR_DEVICES="0")
    auto = emulated("info", model, "--json", CANN_EMULATOR_DEVICES="0")
    assert auto.returncode == 0, auto.stderr
    assert json.loads(auto.stdout)["platform"] == "cpu"
    forced = emulated("info", model, "--platform", "ascend", CANN_EMULATOR_DEVICES="0")
    assert forced.returncode == 1 and "no device" in forced.stderr


@pytest.mark.parametrize("fault, words", [
    ("aclrtGetMemInfo:1:507899", "ascend: aclrtGetMemInfo failed with 507899"),
    ("aclCreateTensor:2:1", "out of memory: a descriptor of CANN"),
    ("aclnnAddmmGetWorkspaceSize:1:361001", "ascend: aclnnAddmm failed with 361001"),
])
def test_what_the_device_cannot_be_asked(fault, words):
    """A device that does not answer when it opens is not one of another kind."""
    assert reason_for(CANN_EMULATOR_FAIL=fault).startswith(words)


def test_what_a_version_refuses_is_done_otherwise():
    done = emulated("info", "--platforms", CANN_EMULATOR_FAIL=
                    "aclnnAddmmGetWorkspaceSize:1:161002")
    assert "not usable" not in done.stdout.splitlines()[0]


def test_a_message_of_cann_is_one_line():
    reason = reason_for(CANN_EMULATOR_FAIL="aclrtCreateStream:1:507899")
    assert reason.startswith("ascend: aclrtCreateStream failed with 507899 (the driver "
                             "failed): EZ9999: Inner Error! EZ9999: [PID:")
    assert "by injection TraceBack" in reason and "  " not in reason


def test_platforms_over_the_emulator():
    done = emulated("info", "--platforms", "--json")
    assert done.returncode == 0, done.stderr
    value = {p["name"]: p for p in json.loads(done.stdout)}
    assert set(value) == {"ascend", "cpu", "reference"}
    assert value["ascend"]["usable"] and value["ascend"]["isa"] == "Ascend910B1"
    assert "8.3" in value["ascend"]["device"]


def test_devices_without_bf16_are_refused():
    done = emulated("info", "--platforms", CANN_EMULATOR_SOC="Ascend310P3")
    assert "Ascend310P3" in done.stdout and "bf16" in done.stdout


@pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")
def test_make_tells_the_environment():
    done = subprocess.run(["make", "-s", "ascend-env"], cwd=ROOT, capture_output=True,
                          text=True)
    assert done.stdout.strip() == f"ASCEND_HOME_PATH={BUILD}/tests/cann/8.3"


@pytest.mark.parametrize("arguments, words", [
    (["--platform", "ascend", "--device", "5"], ["device", "5"]),
    (["--platform", "cpu", "--device", "1"], ["device", "1", "cpu"]),
    (["--platform", "ascend", "--isa", "avx2"], ["isa", "avx2"]),
    (["--platform", "abacus"], ["abacus", "auto", "ascend", "cpu"]),
])
def test_refusals(model, arguments, words):
    done = emulated("info", model, *arguments)
    assert done.returncode == 2
    for word in words:
        assert word in done.stderr


@pytest.mark.parametrize("platform, threads", [("ascend", "1"), ("auto", "3")])
def test_threads_have_no_effect(model, tmp_path, platform, threads):
    done = emulated("generate", "-m", model, "--platform", platform, "--threads", threads,
                    "--t2va", "-p", "A ball", "--output-path", tmp_path)
    assert done.returncode == 2
    assert f"threads is {threads}, but has no effect" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_film_on_the_device(model, tmp_path):
    film = tmp_path / "film.mp4"
    done = emulated("generate", "-m", model, "--platform", "auto", "--t2va", "-p",
                    "A ball", "--height", "32", "--width", "48", "--num-frames", "5",
                    "--num-inference-steps", "2", "--output-path", tmp_path,
                    "--output-file-name", "film.mp4")
    assert done.returncode == 0, done.stderr
    assert film.stat().st_size > 0


def test_a_recorded_film_is_the_same(model, tmp_path):
    latents = []
    for flags in ([], ["--graph"]):
        path = tmp_path / f"{len(flags)}.safetensors"
        done = emulated("generate", "-m", model, "--platform", "ascend", "--t2va", "-p",
                        "A ball", "--height", "32", "--width", "48", "--num-frames", "5",
                        "--num-inference-steps", "6", "--save-latents", path,
                        "--output-path", tmp_path, "--output-file-name",
                        f"{len(flags)}.wav", *flags, CANN_EMULATOR_REPORT="1")
        assert done.returncode == 0, done.stderr
        counted = dict(re.findall(r"cann: (\w+) (\d+)", done.stderr))
        assert (counted["replays"] != "0") == bool(flags)
        latents.append(path.read_bytes())
    assert latents[0] == latents[1]


@pytest.mark.parametrize("platform, version, words", [
    ("cpu", "8.3", ["graph is set", "cpu", "ascend"]),
    ("ascend", "least", ["graph is set", "aclmdlRICaptureBegin"]),
])
def test_nothing_to_record(model, tmp_path, platform, version, words):
    done = emulated("generate", "-m", model, "--platform", platform, "--graph", "--t2va",
                    "-p", "A ball", "--output-path", tmp_path, version=version)
    assert done.returncode == 2
    for word in words:
        assert word in done.stderr


def test_memory_of_the_device_is_predicted(model, tmp_path):
    arguments = ("generate", "-m", model, "--platform", "ascend", "--t2va", "-p", "A ball",
                 "--height", "96", "--width", "96", "--num-frames", "17",
                 "--num-inference-steps", "2", "--output-path", tmp_path)
    shown = emulated(*arguments, "--dry-run")
    need = float(re.search(r"device +([\d.]+) MiB", shown.stdout).group(1))
    less = emulated(*arguments, CANN_EMULATOR_MEMORY=str(int((need - 0.3) * 2**20)))
    assert less.returncode == 1 and "of the device's memory" in less.stderr
    assert list(tmp_path.iterdir()) == []
    enough = emulated(*arguments, CANN_EMULATOR_MEMORY=str(int((need + 0.3) * 2**20)))
    assert enough.returncode == 0, enough.stderr


def test_too_little_device_memory_is_refused(model, tmp_path):
    done = emulated("generate", "-m", model, "--platform", "ascend", "--t2va", "-p",
                    "A ball", "--height", "256", "--width", "256", "--num-frames", "17",
                    "--output-path", tmp_path,
                    CANN_EMULATOR_MEMORY=str(20 << 20))
    assert done.returncode == 1
    assert "memory" in done.stderr and "the film needs" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_prediction(run, hollow):
    result = run("bench", "--platform", "ascend", "--predict", "910B1", hollow)
    assert result.code == 0, result.err
    for word in ("MOVA-360p", "MOVA-720p", "37.0", "1.6 TB/s"):
        assert word in result.out
    steps, launches = {}, {}
    for device in ("910B1", "910B4", "A3"):
        rows = json.loads(run("bench", "--predict", device, "--json", hollow).out)
        assert [r["forwards"] for r in rows] == [2, 2]
        assert rows[0]["tokens"] == 43120
        assert [r["waits"] for r in rows] == [0, 0]
        steps[device] = rows[0]["seconds"]
        launches[device] = rows[0]["launches"]
    assert steps["910B1"] <= 22.0
    assert launches["910B1"] <= 2 * 1500 and launches["A3"] <= 2 * 1500
    assert steps["910B1"] < steps["910B4"]


@pytest.mark.parametrize("arguments, words", [
    (["--predict", "910C"], ["MODEL"]),
    (["--predict", "910B1", "--op", "linear", "x"], ["--predict"]),
    (["--predict", "910B9", "{model}"], ["910B9", "910B1"]),
    (["--predict", "910B1", "--platform", "cpu", "{model}"], ["cpu", "910B1"]),
])
def test_prediction_refusals(run, model, arguments, words):
    result = run("bench", *[a.format(model=model) for a in arguments])
    assert result.code == 2
    for word in words:
        assert word in result.err
