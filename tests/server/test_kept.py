# SPDX-License-Identifier: Apache-2.0
"""Nothing that somebody made is lost because a list is shorter than it was."""
import contextlib
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import sqlite3
import subprocess
import time

import pytest
from conftest import BUILD, PROGRAM, QUICK, SANITIZED, SLOW, png

KEYS = {"ann": "a" * 20, "bob": "b" * 20, "carl": "c" * 20}


@pytest.fixture
def keys(tmp_path):
    path = tmp_path / "keys"
    path.write_text("".join(f"{name}:{key}\n" for name, key in KEYS.items()))
    path.chmod(0o600)
    return path


def jobs(*words):
    return subprocess.run([PROGRAM, "jobs", *map(str, words)], capture_output=True, text=True,
                          timeout=60)


def store_of(server, suffix=""):
    return server.folder / ("phonofilm.db" + suffix)


def make_films(server, count=2):
    """Finished films of a server that is killed then; {id: bytes}."""
    ids = [server.create(seed=seed)["id"] for seed in range(count)]
    for video_id in ids:
        assert server.wait(video_id)["status"] == "completed"
    films = {video_id: server.film(video_id) for video_id in ids}
    server.stop(signal.SIGKILL)
    return films


def refusal(server):
    """What a start is refused with; it starts no better the second time."""
    for _ in range(2):
        with pytest.raises(AssertionError, match="no start"):
            server.start()
    return server.log.read_text().splitlines()[-1]


def adopt_all(server, films):
    """Take everything in; the server has it all as it was."""
    done = jobs("adopt", "-o", server.folder)
    assert done.returncode == 0, done.stderr
    server.start()
    assert "unknown_folders" not in server.get("/ready").json
    for video_id, film in films.items():
        assert server.video(video_id)["status"] == "completed"
        assert server.film(video_id) == film


# --- a store that has lost something -------------------------------------------------


def lose_log(server, old):
    store_of(server, "-wal").unlink()


def put_back_older(server, old):
    for suffix in ("", "-wal"):
        store_of(server, suffix).unlink()
    shutil.copy(old, store_of(server))


def forget_one(server, old):
    with contextlib.closing(sqlite3.connect(store_of(server))) as store:
        store.execute("DELETE FROM videos")
        store.commit()


def cut_log(server, old):
    with open(store_of(server, "-wal"), "r+b") as log:
        log.truncate(32 + 24 + 4096)


@pytest.mark.parametrize("lose", [lose_log, put_back_older, forget_one, cut_log])
def test_films_that_the_store_has_lost(start, tmp_path, lose):
    server = start("--rate", "0")
    assert server.stop() == 0
    old = shutil.copy(store_of(server), tmp_path / "old.db")
    server.start()
    films = make_films(server)
    lose(server, old)
    server.start()
    assert {f.name for f in (server.folder / "videos").iterdir()} == set(films)
    assert set(server.get("/ready").json["unknown_folders"]["folders"]) == set(films)
    assert all(f"{video_id} is unknown" in server.log.read_text() for video_id in films)
    server.wait(server.create(seed=9)["id"])    # work goes on
    assert jobs("adopt", "-o", server.folder).returncode == 1   # but not beside a server
    assert server.stop() == 0
    adopt_all(server, films)


@pytest.mark.parametrize("suffix, at, words", [
    ("-wal", 0, "header is none"), ("-wal", 14, "header does not check"),
    ("-wal", 32 + 12, "before its last commit"), ("-wal", 32 + 24 + 99, "before its last"),
    ("", 20, "damaged"), ("", 4096 + 8, "damaged"),
])
def test_a_store_that_does_not_check_is_refused(start, suffix, at, words):
    server = start("--rate", "0")
    films = make_films(server)
    if not suffix:
        server.start()
        assert server.stop() == 0       # all of the log is in the store
    with open(store_of(server, suffix), "r+b") as file:
        file.seek(at)
        file.write(os.urandom(8))
    told = refusal(server)
    assert words in told and "phonofilm jobs adopt" in told and "phonofilm.db" in told
    assert {f.name for f in (server.folder / "videos").iterdir()} == set(films)
    for each in server.folder.glob("phonofilm.db*"):
        each.unlink()                   # as it said
    adopt_all(server, films)


def test_a_log_that_ends_in_its_header_is_refused(start):
    server = start()
    make_films(server, 1)
    with open(store_of(server, "-wal"), "r+b") as log:
        log.truncate(20)
    assert "ends within its header" in refusal(server)


def test_a_log_whose_last_transaction_is_half_written_is_fine(start):
    """As after a loss of power: what it said was not yet promised."""
    server = start()
    films = make_films(server, 1)
    with open(store_of(server, "-wal"), "ab") as log:
        log.write(b"\1" * 3000)
    server.start()
    assert server.film(next(iter(films)))


def test_unfinished_films_are_taken_in_and_made(start):
    server = start("--rate", "0")
    running = server.create({"input_reference": ("a.png", png())},
                            **{**SLOW, "num_inference_steps": 30, "size": "96x64"})
    queued = server.create(seed=3)
    state = server.folder / "videos" / running["id"] / "state.safetensors"
    while not state.exists():
        time.sleep(0.005)
    server.stop(signal.SIGKILL)
    for each in server.folder.glob("phonofilm.db*"):
        each.unlink()
    assert "jobs adopt" in refusal(server)
    done = jobs("adopt", "-o", server.folder)
    assert done.returncode == 0 and done.stdout.count("took in") == 2
    server.start()
    for video in (running, queued):
        done = server.wait(video["id"])
        assert done["status"] == "completed" and done["settings"] == video["settings"]


def test_a_film_that_was_whole_is_not_made_again(start):
    """It ended, and the store that said so is gone."""
    server = start("--rate", "0")
    video = server.create()
    done = server.wait(video["id"])
    server.stop(signal.SIGKILL)
    with contextlib.closing(sqlite3.connect(store_of(server))) as store:
        store.execute("UPDATE videos SET status = 1, completed = 0, bytes = 0")
        store.commit()
    server.start()
    again = server.video(video["id"])
    assert again["status"] == "completed" and again["completed_at"] == done["completed_at"]
    server.restart()
    assert server.video(video["id"])["status"] == "completed"


def test_deleted_films_stay_deleted(start):
    server = start("--rate", "0")
    ids = list(make_films(server))
    server.start()
    assert server.request("DELETE", "/v1/videos/" + ids[0]).status == 200
    server.restart()
    assert [v["id"] for v in server.get("/v1/videos").json["data"]] == [ids[1]]
    assert not (server.folder / "videos" / ids[0]).exists()
    assert "unknown_folders" not in server.get("/ready").json


def test_films_that_are_not_mounted(start):
    server = start()
    make_films(server, 1)
    films, away = server.folder / "videos", server.folder / "away"
    films.rename(away)
    assert "mount its disk" in refusal(server)
    films.rmdir()
    away.rename(films)
    server.start()


# --- phonofilm jobs -------------------------------------------------------------------


def test_jobs_list(start):
    server = start("--rate", "0")
    ids = list(make_films(server))
    (server.folder / "videos" / "video_00ff").mkdir()
    text = jobs("list", "-o", server.folder)
    assert text.returncode == 0
    assert [line.split()[:2] for line in text.stdout.splitlines()] == [
        *([video_id, "completed"] for video_id in sorted(ids)), ["video_00ff", "unknown:"]]
    rows = json.loads(jobs("list", "--json", "-o", server.folder).stdout)
    assert [row["id"] for row in rows] == [*sorted(ids), "video_00ff"]
    assert rows[0]["settings"]["prompt"] == QUICK["prompt"]
    assert jobs("adopt", "-o", server.folder / "nowhere").returncode == 2
    none = jobs("list", "-o", server.folder / "spool")
    assert none.returncode == 2 and "no folder of a server" in none.stderr


@pytest.mark.parametrize("words, told", [
    ((), "list or adopt"), (("lst",), "list or adopt"), (("list", "x"), "unexpected argument"),
    (("adopt", "--json"), "--json has no effect"), (("--outputdir", "x", "list"), "--output-dir")])
def test_jobs_refuses(words, told):
    done = jobs(*words)
    assert done.returncode == 2 and told in done.stderr, done.stderr


def test_jobs_adopt_by_folder(start, tmp_path):
    server = start("--rate", "0")
    films = make_films(server)
    first, second = films
    folders = server.folder / "videos"
    (folders / first).rename(tmp_path / "somewhere")
    for each in server.folder.glob("phonofilm.db*"):
        each.unlink()
    bad = tmp_path / "bad"
    bad.mkdir()
    done = jobs("adopt", "-o", server.folder, tmp_path / "somewhere", bad, folders / second,
                folders / second)
    assert done.returncode == 2 and "no job.json" in done.stderr
    assert done.stdout.splitlines() == [f"took in {first} (completed)",
                                        f"took in {second} (completed)",
                                        f"knew {second} (completed)"]
    server.start()
    assert {v["id"] for v in server.get("/v1/videos").json["data"]} == {first, second}
    assert server.film(first) == films[first]


@pytest.mark.parametrize("change, words", [
    (lambda job: "{", "not valid JSON"), (lambda job: "[]", "not a JSON object"),
    (lambda job: {**job, "version": 2}, "version is 2"),
    (lambda job: {**job, "id": "../../x"}, "id of a video"),
    (lambda job: {**job, "status": "done"}, 'status is "done"'),
    (lambda job: {**job, "owner": "x" * 64}, "owner has 64 bytes"),
    (lambda job: {**job, "completed": -1}, "completed"),
    (lambda job: {**job, "settings": {"prompt": "x"}}, "settings"),
])
def test_a_description_that_is_none(start, change, words):
    server = start()
    video_id, = make_films(server, 1)
    path = server.folder / "videos" / video_id / "job.json"
    job = change(json.loads(path.read_text()))
    path.write_text(job if isinstance(job, str) else json.dumps(job))
    for each in server.folder.glob("phonofilm.db*"):
        each.unlink()
    done = jobs("adopt", "-o", server.folder)
    assert done.returncode == 2 and words in done.stderr, done.stderr
    assert (path.parent / "film.mp4").exists()


def test_a_completed_film_without_a_film_is_not_taken_in(start):
    server = start()
    video_id, = make_films(server, 1)
    (server.folder / "videos" / video_id / "film.mp4").unlink()
    for each in server.folder.glob("phonofilm.db*"):
        each.unlink()
    done = jobs("adopt", "-o", server.folder)
    assert done.returncode == 2 and "has no film.mp4" in done.stderr


def test_films_of_an_older_version_get_their_description(start):
    server = start()
    video_id, = make_films(server, 1)
    path = server.folder / "videos" / video_id / "job.json"
    before = path.read_text()
    path.unlink()
    server.start()
    end = time.monotonic() + 20
    while not path.exists() and time.monotonic() < end:
        time.sleep(0.05)
    assert json.loads(path.read_text()) == json.loads(before)


# --- a store or a disk that goes away -------------------------------------------------


def await_ready(server, status, seconds=30):
    end = time.monotonic() + seconds
    while server.get("/ready").status != status and time.monotonic() < end:
        time.sleep(0.05)
    reply = server.get("/ready")
    assert reply.status == status, reply.body
    return reply


def replace(path):
    os.rename(path, path.with_name("aside"))
    shutil.copy(path.with_name("aside"), path)


@pytest.mark.parametrize("suffix, take", [
    ("", lambda path: os.rename(path, path.with_name("aside"))), ("-wal", replace)])
def test_a_store_that_is_no_longer_there(start, suffix, take):
    """Nothing is accepted, and no end told, that nobody would find again."""
    server = start("--rate", "0")
    video = server.create(**{**SLOW, "num_inference_steps": 30})
    server.wait(video["id"], "in_progress")
    path = store_of(server, suffix)
    take(path)
    reply = server.post("/v1/videos", QUICK)
    assert reply.status == 503 and reply.error["code"] == "no_store"
    assert reply.headers["retry-after"] == "30"
    assert "store" in await_ready(server, 503).error["message"]
    assert server.request("POST", f"/v1/videos/{video['id']}",
                          {"starred": True}).status == 503
    assert server.video(video["id"])["status"] == "in_progress"
    assert "removed or replaced" in server.log.read_text()
    os.rename(path.with_name("aside"), path)
    assert server.wait(video["id"])["status"] == "completed"
    await_ready(server, 200)
    server.restart()
    assert server.video(video["id"])["status"] == "completed"


def test_another_folder_lies_there(start):
    """The disk of the films is unmounted, and what it was mounted on comes to light."""
    server = start("--rate", "0")
    films, away = server.folder / "videos", server.folder / "away"
    video = server.create(**{**SLOW, "num_inference_steps": 40})
    server.wait(video["id"], "in_progress")
    films.rename(away)
    films.mkdir()
    await_ready(server, 503)
    reply = server.post("/v1/videos", QUICK)
    assert reply.status == 503 and reply.error["code"] == "no_folder"
    time.sleep(1)
    assert not list(films.iterdir())
    films.rmdir()
    away.rename(films)
    assert server.wait(video["id"])["status"] == "completed"


@pytest.fixture
def disk(tmp_path):
    """A file system of its own: where it is mounted, and its image."""
    image, folder = tmp_path / "image", tmp_path / "disk"
    folder.mkdir()
    try:
        subprocess.run(["truncate", "-s", "64M", image], check=True)
        subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True, capture_output=True)
        subprocess.run(["mount", "-o", "loop", image, folder], check=True,
                       capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("a file system needs mkfs.ext4 and the right to mount one")
    yield folder, image
    subprocess.run(["umount", "-l", folder], check=True)


def shut_down(folder):
    """From now on the disk answers EIO."""
    import fcntl
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.ioctl(handle, 0x8004587d, (2).to_bytes(4, "little"))
    finally:
        os.close(handle)


def test_a_disk_that_dies(disk, start):
    folder, image = disk
    server = start("--rate", "0", "--min-free", "1M", folder=folder)
    done = server.wait(server.create(seed=8)["id"])
    videos = [server.create(**{**SLOW, "num_inference_steps": 40}), server.create()]
    server.wait(videos[0]["id"], "in_progress")
    shut_down(folder)
    ready = await_ready(server, 503)
    assert "disk" in ready.error["message"] and str(folder) not in ready.error["message"]
    reply = server.post("/v1/videos", QUICK)
    assert reply.status == 503 and reply.error["code"] == "disk_error"
    for way in (("DELETE", ""), ("POST", "/cancel")):
        assert server.request(way[0], f"/v1/videos/{videos[1]['id']}{way[1]}").status == 503
    time.sleep(3)
    assert [server.video(v["id"])["status"] for v in videos] == ["in_progress", "queued"]
    assert server.video(done["id"])["status"] == "completed"
    server.stop(signal.SIGKILL)
    subprocess.run(["umount", folder], check=True)
    subprocess.run(["mount", "-o", "loop", image, folder], check=True)
    server.start()
    for video in videos:
        assert server.wait(video["id"])["status"] == "completed"


# --- queue ----------------------------------------------------------------------------


def fill(server, name, most):
    """Films of a key until it may have no more: how many, and the refusal."""
    server.key = KEYS[name]
    for count in range(most + 1):
        reply = server.post("/v1/videos", QUICK)
        if reply.status != 200:
            return count, reply
    raise AssertionError("no end")


def test_one_key_leaves_places_for_others(start, keys):
    server = start("--rate", "0", "--api-key-file", keys, "--max-queue", "8",
                   key=KEYS["ann"])
    running = server.create(**{**SLOW, "num_inference_steps": 1000})
    server.wait(running["id"], "in_progress")
    count, reply = fill(server, "ann", 8)
    assert count == 4 and reply.status == 429
    assert "one key may have 4" in reply.error["message"] and reply.headers["retry-after"]
    count, reply = fill(server, "bob", 8)
    assert count == 3 and "place of each key that has none" in reply.error["message"]
    sync = server.request("POST", "/v1/videos/sync", QUICK)
    assert sync.status == 429
    count, reply = fill(server, "carl", 8)
    assert count == 1 and reply.status == 429 and reply.error["code"] == "queue_full"
    server.key = KEYS["ann"]
    waiting = [v["id"] for v in server.get("/v1/videos").json["data"]
               if v["status"] == "queued"]
    assert server.request("POST", f"/v1/videos/{waiting[0]}/remix",
                          {"prompt": "x"}).status == 429
    for video_id in waiting[:2]:
        server.request("DELETE", "/v1/videos/" + video_id)
    assert fill(server, "bob", 8)[0] == 1       # four each, and never more than eight
    server.key = KEYS["ann"]
    assert server.request("DELETE", "/v1/videos/" + running["id"]).status == 200


def test_a_share_of_the_queue_can_be_given(start, keys, model, tmp_path):
    server = start("--rate", "0", "--api-key-file", keys, "--max-queue", "8",
                   "--max-queue-per-key", "1", key=KEYS["ann"])
    running = server.create(**{**SLOW, "num_inference_steps": 1000})
    server.wait(running["id"], "in_progress")
    assert fill(server, "ann", 8)[0] == 1
    assert fill(server, "bob", 8)[0] == 1
    for flags in (("--max-queue", "2", "--max-queue-per-key", "3", "--api-key-file", keys),
                  ("--max-queue-per-key", "3")):
        done = subprocess.run([PROGRAM, "serve", "-m", model, "--port", "0", "-o",
                               tmp_path / "x", *flags], capture_output=True, text=True)
        assert done.returncode == 2 and "max_queue_per_key is 3" in done.stderr


def test_a_queue_that_was_longer_once(start):
    """What was accepted is made, whatever the limits are now."""
    server = start("--rate", "0")
    ids = [server.create(seed=seed, num_inference_steps=6, guidance_scale=3,
                         guidance_scale_2=1, negative_prompt="blur")["id"] for seed in range(4)]
    server.stop(signal.SIGKILL)
    server.command += ["--max-queue", "1", "--memory-limit", "1M", "--max-upload", "1"]
    server.start()
    for video_id in ids:
        assert server.wait(video_id)["status"] == "completed"
    refused = server.post("/v1/videos", QUICK)
    assert refused.status == 400 and refused.error["code"] == "too_large"


def address_space(server):
    text = pathlib.Path(f"/proc/{server.process.pid}/status").read_text()
    return 1024 * int(re.search(r"VmSize:\s+(\d+)", text).group(1))


@pytest.mark.skipif(SANITIZED, reason="a sanitizer takes more addresses than there is memory")
def test_a_film_waits_for_memory(start):
    """That there is less than when it was accepted is not held against it."""
    server = start("--rate", "0")
    video = server.create(**{**SLOW, "num_inference_steps": 6})
    server.die_while_making(video, 6)   # time to take the memory away
    server.start()
    resource.prlimit(server.process.pid, resource.RLIMIT_AS,
                     (address_space(server) + (2 << 20), resource.RLIM_INFINITY))
    end = time.monotonic() + 60
    while server.log.read_text().count("is tried again") < 3:
        assert time.monotonic() < end
        time.sleep(0.1)
    assert server.video(video["id"])["status"] == "in_progress"
    resource.prlimit(server.process.pid, resource.RLIMIT_AS,
                     (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert server.wait(video["id"])["status"] == "completed"


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_killed_when_the_last_steps_remain(start, how):
    """Those use less of the request than the film does."""
    server = start("--rate", "0")
    video = server.create(**{**SLOW, "size": "96x64", "num_frames": 17, "guidance_scale": 3,
                             "num_inference_steps": 200, "guidance_scale_2": 1,
                             "negative_prompt": "blur", "guidance_rescale": 0.5})
    for percent in (30, 80):
        server.wait_for_progress(video["id"], percent)
        server.restart(how)
    assert server.wait(video["id"])["status"] == "completed"


# --- space ----------------------------------------------------------------------------


@pytest.mark.parametrize("chunked", [False, True])
def test_bodies_do_not_use_what_stays_free(small_disk, start, chunked):
    free = os.statvfs(small_disk)
    spare = free.f_bavail * free.f_frsize - (1 << 20)
    server = start("--min-free", str(spare), "--rate", "0", folder=small_disk / "films")
    server.wait(server.create()["id"])
    body = b" " * (3 << 20)
    reply = server.request("POST", "/v1/videos", (body[i:i + 65536] for i in
                           range(0, len(body), 65536)) if chunked else body,
                           {"Content-Type": "application/json"})
    assert reply.status == 507 and reply.error["code"] == "no_space"
    server.wait(server.create(seed=2)["id"])            # nothing stays set aside


def test_bodies_on_their_way_count_together(small_disk, start):
    free = os.statvfs(small_disk)
    spare = free.f_bavail * free.f_frsize - (1 << 20)
    server = start("--min-free", str(spare), "--rate", "0", folder=small_disk / "films")
    head = (b"POST /v1/videos HTTP/1.1\r\nHost: localhost\r\nContent-Length: 700000\r\n"
            b"Content-Type: application/json\r\n\r\n")

    def ask():
        return server.request("POST", "/v1/videos", b" " * 700000,
                              {"Content-Type": "application/json"}).status
    with socket.create_connection(("127.0.0.1", server.port)) as slow:
        slow.sendall(head)              # and nothing of the body yet
        end = time.monotonic() + 20
        while ask() != 507:
            assert time.monotonic() < end
    end = time.monotonic() + 20
    while ask() != 400:                 # it is no JSON, but it came
        assert time.monotonic() < end


def test_films_that_wait_have_their_space(small_disk, start):
    server = start("--min-free", "4M", "--rate", "0", folder=small_disk / "films")
    running = server.create(**{**SLOW, "num_inference_steps": 1000})
    replies = [server.post("/v1/videos", {**QUICK, "size": "160x96", "num_frames": 33})
               for _ in range(20)]
    taken = [reply.status for reply in replies].count(200)
    assert 1 < taken < 20
    assert {r.error["code"] for r in replies if r.status != 200} == {"no_space"}
    assert server.request("DELETE", "/v1/videos/" + running["id"]).status == 200


# --- keeping --------------------------------------------------------------------------


def star(server, video_id, starred=True):
    return server.request("POST", "/v1/videos/" + video_id, {"starred": starred})


def test_starred_films_stay(start):
    server = start("--retention", "3s", "--retention-bytes", "1", "--rate", "0")
    kept, other = (server.create(seed=seed)["id"] for seed in (1, 2))
    assert star(server, kept).json["starred"] is True   # while it waits or is made
    server.wait(other)
    server.restart()
    assert server.video(kept)["starred"] and server.video(kept)["expires_at"] is None
    end = time.monotonic() + 20
    while server.get("/v1/videos/" + other).status == 200 and time.monotonic() < end:
        time.sleep(0.1)
    assert server.get("/v1/videos/" + other).status == 404
    assert server.film(kept)
    time.sleep(4)
    assert server.film(kept)
    back = star(server, kept, False)
    assert back.status == 200 and back.json["expires_at"] == back.json["completed_at"] + 3
    while server.get("/v1/videos/" + kept).status == 200 and time.monotonic() < end + 20:
        time.sleep(0.1)
    assert server.get("/v1/videos/" + kept).status == 404


@pytest.mark.skipif(SANITIZED, reason="a sanitizer wants to be loaded first")
def test_a_clock_that_jumps_costs_no_film(start, tmp_path):
    jump = tmp_path / "jump"
    server = start("--retention", "1d", environment={
        "LD_PRELOAD": str(BUILD / "tests" / "jumping_clock.so"), "CLOCK_JUMPS": str(jump)})
    video = server.wait(server.create()["id"])
    jump.touch()                        # by ten years
    end = time.monotonic() + 30
    while "the clock has jumped" not in server.log.read_text() and time.monotonic() < end:
        time.sleep(0.1)
    time.sleep(6)                       # films expire every five seconds
    assert "the clock has jumped" in server.log.read_text()
    assert server.film(video["id"])
    server.restart()
    time.sleep(2)
    assert server.film(video["id"])


@pytest.mark.parametrize("body", [
    {}, {"starred": 1}, {"starred": "true"}, {"starred": None}, {"starred": True, "x": 1},
    {"prompt": "x"}])
def test_nothing_else_can_be_changed(server, body):
    video = server.create()
    reply = server.request("POST", "/v1/videos/" + video["id"], body)
    assert reply.status == 400 and reply.error["param"] == "starred"
    assert server.video(video["id"])["starred"] is False
    assert star(server, "video_00").status == 404


def test_stars_are_taken_in_with_their_film(start):
    server = start()
    video = server.wait(server.create()["id"])
    assert star(server, video["id"]).status == 200
    server.stop(signal.SIGKILL)
    for each in server.folder.glob("phonofilm.db*"):
        each.unlink()
    assert jobs("adopt", "-o", server.folder).returncode == 0
    server.start()
    assert server.video(video["id"])["starred"] is True


@pytest.mark.parametrize("flags, days", [
    ((), None), (("--retention", "0"), None), (("--retention", "2d"), 2),
    (("--api-key-file",), 7), (("--host", "0.0.0.0", "--no-auth"), 7)])
def test_how_long_films_stay(start, keys, flags, days):
    flags = (*flags, keys) if flags and flags[-1] == "--api-key-file" else flags
    server = start(*flags, key=KEYS["ann"])
    video = server.wait(server.create()["id"])
    if days is None:
        assert video["expires_at"] is None and "films are kept" in server.log.read_text()
    else:
        assert video["expires_at"] == video["completed_at"] + days * 86400
        assert f"deleted after {days} days" in server.log.read_text()
