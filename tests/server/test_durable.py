# SPDX-License-Identifier: Apache-2.0
"""Jobs survive whatever happens to the process, and end as if nothing had happened."""
import contextlib
import json
import random
import signal
import socket
import sqlite3
import time

import pytest
from conftest import QUICK, SLOW, Server, png

FILM = {**SLOW, "num_inference_steps": 24, "size": "96x64", "num_frames": 17}


@pytest.fixture(scope="module")
def undisturbed(model, tmp_path_factory):
    """The bytes of FILM by a server that is left alone."""
    server = Server(model, tmp_path_factory.mktemp("undisturbed") / "films")
    video = server.create({"input_reference": ("a.png", png())}, **FILM)
    assert server.wait(video["id"])["status"] == "completed"
    film = server.film(video["id"])
    assert server.stop() == 0
    return film


def test_killed_in_the_middle(start, undisturbed):
    server = start("--rate", "0")
    running = server.create({"input_reference": ("a.png", png())}, **FILM)
    queued = server.create()
    state = server.folder / "videos" / running["id"] / "state.safetensors"
    while not state.exists():
        time.sleep(0.005)
    server.restart()
    assert server.video(running["id"])["status"] in ("in_progress", "completed")
    assert server.wait(running["id"])["status"] == "completed"
    assert server.film(running["id"]) == undisturbed
    assert server.wait(queued["id"])["status"] == "completed"
    assert not state.exists()


def test_killed_again_and_again(start, undisturbed):
    """A few random moments; tests/server/crash.py does many."""
    chance = random.Random(4)
    server = start("--rate", "0")
    ids = [server.create({"input_reference": ("a.png", png())}, **FILM)["id"]
           for _ in range(2)]
    for _ in range(5):
        time.sleep(chance.uniform(0.05, 0.6))
        server.restart()
    for video_id in ids:
        assert server.wait(video_id)["status"] == "completed"
        assert server.film(video_id) == undisturbed


def test_terminated_politely(start, undisturbed):
    server = start("--rate", "0")
    video = server.create({"input_reference": ("a.png", png())}, **FILM)
    server.wait(video["id"], "in_progress")
    time.sleep(0.3)
    begun = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - begun < 10
    server.start()
    assert server.wait(video["id"])["status"] == "completed"
    assert server.film(video["id"]) == undisturbed


def test_latents_that_are_damaged_begin_anew(start, undisturbed):
    server = start("--rate", "0")
    video = server.create({"input_reference": ("a.png", png())}, **FILM)
    state = server.folder / "videos" / video["id"] / "state.safetensors"
    while not state.exists():
        time.sleep(0.005)
    server.stop(signal.SIGKILL)
    state.write_bytes(state.read_bytes()[:100])
    server.start()
    assert server.wait(video["id"])["status"] == "completed"
    assert server.film(video["id"]) == undisturbed


def test_what_is_done_stays_done(start):
    server = start("--rate", "0")
    done, cancelled = server.create(), server.create(**SLOW)
    server.wait(done["id"])
    server.wait_for_progress(cancelled["id"], 10)
    server.request("POST", f"/v1/videos/{cancelled['id']}/cancel")
    assert server.wait(cancelled["id"])["progress"] >= 10
    before = server.get("/v1/videos").json
    film = server.film(done["id"])
    server.restart()
    assert server.get("/v1/videos").json == before
    assert server.film(done["id"]) == film
    again = server.create(headers={"Idempotency-Key": "k"})
    server.restart()
    assert server.create(headers={"Idempotency-Key": "k"})["id"] == again["id"]


def test_what_was_never_accepted_is_swept(start):
    """A folder has another name until the store knows it."""
    server = start()
    video = server.wait(server.create()["id"])
    films = server.folder / "videos"
    server.stop()
    orphan = films / "video_0123456789abcdef.new"
    orphan.mkdir()
    (orphan / "first").write_bytes(b"x")
    (films / video["id"]).rename(films / (video["id"] + ".new"))    # killed in between
    server.start()
    assert [folder.name for folder in films.iterdir()] == [video["id"]]
    assert server.film(video["id"])


def test_what_the_store_does_not_know_is_kept(start):
    server = start()
    films = server.folder / "videos"
    server.stop()
    for name in ("video_0123456789abcdef", "mine", "video_00", "video_01"):
        (films / name).mkdir()
    for name in ("video_0123456789abcdef", "mine", "video_01"):
        (films / name / "first").write_bytes(b"x")
    (films / "video_01" / "deleted").write_bytes(b"")       # the store has forgotten it
    for _ in range(2):
        server.start()
        assert (films / "mine").exists() and (films / "video_0123456789abcdef/first").exists()
        assert not (films / "video_00").exists() and not (films / "video_01").exists()
        assert server.get("/ready").json["unknown_folders"] == {
            "count": 1, "folders": ["video_0123456789abcdef"]}
        assert "video_0123456789abcdef is unknown" in server.log.read_text()
        assert server.stop() == 0


def test_a_job_that_kills_the_server_is_given_up(start):
    server = start()
    video = server.create(**SLOW)
    server.die_while_making(video, 20)
    server.start()
    done = server.wait(video["id"])
    assert done["status"] == "failed" and done["error"]["code"] == "gave_up"


def test_others_go_first_while_a_film_rests(start):
    server = start("--rate", "0")
    video, other = server.create(num_inference_steps=8), server.create()
    server.die_while_making(video, 7)
    server.start()
    assert server.video(video["id"])["status"] == "in_progress"
    assert server.wait(other["id"])["status"] == "completed"
    assert server.video(video["id"])["status"] == "in_progress"
    assert server.wait(video["id"])["status"] == "completed"


def test_two_servers_do_not_share_a_folder(start):
    server = start()
    with pytest.raises(AssertionError, match="another server"):
        start(folder=server.folder)


def test_the_queue_is_bounded(start):
    server = start("--max-queue", "2", "--rate", "0")
    running = server.create(**SLOW)
    server.wait(running["id"], "in_progress")
    for _ in range(2):
        server.create()
    full = server.post("/v1/videos", QUICK)
    assert full.status == 429 and full.error["code"] == "queue_full"
    assert full.error["type"] == "rate_limit_error"
    assert 1 <= int(full.headers["retry-after"]) <= 120
    server.request("DELETE", "/v1/videos/" + running["id"])


def test_owners_take_turns(start, tmp_path):
    keys = tmp_path / "keys"
    keys.write_text("ann:" + "a" * 20 + "\nbob:" + "b" * 20 + "\n")
    server = start("--api-key-file", keys, "--rate", "0", key="a" * 20)
    ann = [server.create(**SLOW)["id"]] + [server.create()["id"] for _ in range(3)]
    server.wait(ann[0], "in_progress")
    server.key = "b" * 20
    bob = server.create()["id"]
    assert server.video(bob)["queue_position"] == 1
    assert server.get("/v1/videos/" + ann[1]).status == 404
    assert [v["id"] for v in server.get("/v1/videos").json["data"]] == [bob]
    server.key = "a" * 20
    assert server.video(ann[1])["queue_position"] == 2
    server.request("DELETE", "/v1/videos/" + ann[0])


def test_old_films_go(start):
    server = start("--retention", "1s")
    video = server.create()
    done = server.wait(video["id"])
    assert done["expires_at"] == done["completed_at"] + 1
    folder = server.folder / "videos" / video["id"]
    end = time.monotonic() + 15
    while folder.exists() and time.monotonic() < end:
        time.sleep(0.1)
    assert not folder.exists()
    assert server.get("/v1/videos/" + video["id"]).status == 404


def test_films_make_room(start):
    server = start("--retention-bytes", "60000", "--rate", "0")
    ids = [server.create(seed=seed)["id"] for seed in range(5)]
    for video_id in ids:
        server.wait(video_id)
    end = time.monotonic() + 15
    while (len(left := server.get("/v1/videos").json["data"]) == 5
           and time.monotonic() < end):
        time.sleep(0.1)
    assert 1 <= len(left) < 5 and left[0]["id"] == ids[-1]


def test_pictures_of_cancelled_films_make_room(start):
    server = start("--retention-bytes", "600000", "--rate", "0")
    picture = png(400, 300)
    assert 200000 < len(picture) < 300000
    running = server.create(**SLOW)
    ids = [server.create({"input_reference": ("a.png", picture)})["id"] for _ in range(5)]
    for video_id in ids:
        assert server.request("POST", f"/v1/videos/{video_id}/cancel").status == 200
    end = time.monotonic() + 15
    while server.get("/v1/videos/" + ids[2]).status == 200 and time.monotonic() < end:
        time.sleep(0.1)
    left = [v["id"] for v in server.get("/v1/videos").json["data"]]
    assert left and not set(left) & set(ids[:3]) and running["id"] in left


def test_latents_go_with_a_cancelled_film(start):
    """Also when it was interrupted, and the server rests before it goes on with it."""
    server = start()
    video = server.create(**{**SLOW, "num_inference_steps": 1000})
    state = server.folder / "videos" / video["id"] / "state.safetensors"
    end = time.monotonic() + 60
    while not state.exists() and time.monotonic() < end:
        time.sleep(0.05)
    server.die_while_making(video, starts=12)
    server.start()
    assert state.exists()
    assert server.request("POST", f"/v1/videos/{video['id']}/cancel").status == 200
    assert server.video(video["id"])["error"]["code"] == "cancelled"
    assert not state.exists()


def test_the_folder_is_away_for_a_while(start):
    """Its disk, perhaps: no film fails for that, and none is accepted."""
    server = start("--rate", "0")
    films, away = server.folder, server.folder.with_name("away")
    videos = [server.create(**{**SLOW, "num_inference_steps": 40}), server.create()]
    server.wait(videos[0]["id"], "in_progress")
    films.rename(away)
    end = time.monotonic() + 60
    while server.get("/ready").status == 200 and time.monotonic() < end:
        time.sleep(0.1)
    assert "folder" in server.get("/ready").error["message"]
    reply = server.post("/v1/videos", QUICK)
    assert reply.status == 503 and reply.error["code"] == "no_folder"
    assert reply.headers["retry-after"] == "30"
    assert [server.video(v["id"])["status"] for v in videos] == ["in_progress", "queued"]
    away.rename(films)
    for video in videos:
        assert server.wait(video["id"])["status"] == "completed"


def test_no_films_without_disk(start):
    server = start("--min-free", "1000T")
    reply = server.post("/v1/videos", QUICK)
    assert reply.status == 507 and reply.error["code"] == "no_space"
    assert reply.headers["x-should-retry"] == "false"
    assert server.get("/v1/videos").json["data"] == []
    assert not list((server.folder / "videos").iterdir())


def multiply(server):
    """Make a film, stop the server, and put 20,000 of that film into its store; their
    ids."""
    server.wait(server.create()["id"])
    assert server.stop() == 0
    with contextlib.closing(sqlite3.connect(server.folder / "phonofilm.db")) as base:
        row = list(base.execute("SELECT * FROM videos").fetchone())
        rows = [[f"video_{i:012x}{i:020x}", *row[1:]] for i in range(20000)]
        base.executemany(f"INSERT INTO videos VALUES({','.join('?' * len(row))})", rows)
        base.commit()
    return [row[0] for row in rows]


def test_a_start_with_thousands_of_films(start):
    server = start()
    ids = multiply(server)
    for each in ids[:4000]:
        (server.folder / "videos" / each).mkdir()
    begun = time.monotonic()
    server.start()
    assert time.monotonic() - begun < 5
    page = server.get("/v1/videos?limit=100&after=" + ids[10000]).json
    assert page["has_more"] and page["first_id"] == ids[9999]


@pytest.mark.parametrize("change, words", [
    ("UPDATE videos SET status=7", "damaged"),
    ("UPDATE videos SET settings='{'", "JSON"),
    ("PRAGMA user_version=9", "version 9"),
])
def test_a_store_that_is_not_ours_is_refused(start, change, words):
    server = start()
    server.wait(server.create()["id"])
    assert server.stop() == 0
    with contextlib.closing(sqlite3.connect(server.folder / "phonofilm.db")) as base:
        base.execute(change)
        base.commit()
    with pytest.raises(AssertionError, match="no start"):
        server.start()
    assert words in server.log.read_text()


@pytest.mark.parametrize("size, words", [
    (None, "missing or empty"), (0, "missing or empty"), (100, "damaged"),
    (511, "damaged"), (512, "job store"), (4095, "job store"),
])
def test_a_store_that_has_been_cut_is_refused(start, size, words):
    server = start()
    video = server.create({"input_reference": ("a.png", png())}, **SLOW)
    assert server.stop() == 0
    path = server.folder / "phonofilm.db"
    if size is None:
        path.unlink()
    else:
        with open(path, "r+b") as store:
            store.truncate(size)
    for _ in range(2):
        with pytest.raises(AssertionError, match="no start"):
            server.start()
    assert words in server.log.read_text().splitlines()[-1]
    assert (server.folder / "videos" / video["id"] / "first").exists()


def test_a_store_that_is_cut_to_nothing_has_its_log_still(start):
    server = start()
    server.stop(signal.SIGKILL)
    (server.folder / "phonofilm.db").write_bytes(b"")
    with pytest.raises(AssertionError, match="no start"):
        server.start()
    assert "damaged" in server.log.read_text()
    assert (server.folder / "phonofilm.db-wal").stat().st_size > 0


def test_many_films_expire_while_other_work_goes_on(start):
    server = start("--header-timeout", "1")
    multiply(server)
    server.command += ["--retention", "1s"]
    server.start()
    with socket.create_connection(("127.0.0.1", server.port)) as slow:
        slow.settimeout(6)
        assert slow.recv(1) == b""      # dropped, although films are being deleted
    page = server.get("/v1/videos?limit=1").json
    assert page["has_more"]             # still


def saved_step(server, video):
    """The denoising step whose latents are on the disk."""
    data = (server.folder / "videos" / video["id"] / "state.safetensors").read_bytes()
    header = json.loads(data[8:8 + int.from_bytes(data[:8], "little")])
    return int(header["__metadata__"]["step"])


def test_progress_goes_on_where_it_was(start):
    server = start()
    video = server.create(**SLOW)
    told = server.wait_for_progress(video["id"], 20)
    server.stop(signal.SIGTERM)
    step = saved_step(server, video)
    server.start()
    again = server.video(video["id"])
    assert again["status"] == "in_progress" and again["progress"] >= told
    while not again["steps"]:
        again = server.video(video["id"])
    assert step > 0 and again["progress"] >= 75 * step / SLOW["num_inference_steps"]


def test_a_store_of_the_first_version_is_taken_over(start):
    server = start()
    server.wait(server.create()["id"])
    before = server.get("/v1/videos").json
    assert server.stop() == 0
    with contextlib.closing(sqlite3.connect(server.folder / "phonofilm.db")) as base:
        base.executescript("ALTER TABLE videos DROP COLUMN fraction;"
                           "ALTER TABLE videos DROP COLUMN starred; PRAGMA user_version=1;")
    for _ in range(2):
        server.start()
        assert server.get("/v1/videos").json == before
        assert server.stop() == 0


def test_a_store_of_the_first_version_without_tables_is_taken_over(start):
    """Its program ended between the two steps in which it made one."""
    server = start()
    assert server.stop() == 0
    for name in server.folder.glob("phonofilm.db*"):
        name.unlink()
    with contextlib.closing(sqlite3.connect(server.folder / "phonofilm.db")) as base:
        base.executescript("PRAGMA journal_mode=WAL; PRAGMA user_version=1;")
    server.start()
    assert server.wait(server.create()["id"])["status"] == "completed"
