# SPDX-License-Identifier: Apache-2.0
"""The /v1/videos interface, spoken by hand."""
import base64
import json
import socket
import subprocess
import threading
import time

import pytest
from conftest import QUICK, SLOW, png


def test_multipart_with_a_picture(server):
    video = server.create({"input_reference": ("ball.png", png())})
    assert video["object"] == "video" and video["status"] in ("queued", "in_progress")
    assert video["id"].startswith("video_")
    assert video["size"] == "48x32" and video["seconds"] == "0.38"
    assert video["error"] is None and video["prompt"] == QUICK["prompt"]
    assert video["settings"]["picture"] is True and video["settings"]["seed"] == 7
    done = server.wait(video["id"])
    assert done["status"] == "completed" and done["progress"] == 100
    assert done["completed_at"] >= done["created_at"]
    assert done["expires_at"] is None and done["starred"] is False
    assert server.film(video["id"])[4:8] == b"ftyp"


def test_multipart_and_json_make_the_same_film(server):
    uri = "data:image/png;base64," + base64.b64encode(png()).decode()
    a = server.create({"input_reference": ("a.png", png())}, fps=12)
    b = server.request("POST", "/v1/videos",
                       {**QUICK, "fps": 12, "input_reference": {"image_url": uri}}).json
    c = server.create(**{"input_reference[image_url]": uri,
                         "extra_params[fps]": 12})
    d = server.request("POST", "/v1/videos",
                       {**QUICK, "extra_body": {"fps": 12}, "reference_url": uri}).json
    films = []
    for video in (a, b, c, d):
        assert server.wait(video["id"])["status"] == "completed"
        films.append(server.film(video["id"]))
    assert films[0] == films[1] == films[2] == films[3]
    other = server.create()
    server.wait(other["id"])
    assert server.film(other["id"]) != films[0]


def test_a_film_without_a_picture(server):
    video = server.request("POST", "/v1/videos", QUICK).json
    assert video["settings"]["picture"] is False
    assert server.wait(video["id"])["status"] == "completed"


def test_the_film_has_what_was_asked_for(server, tmp_path):
    done = server.wait(server.create(num_frames=25, fps=25, seconds=1)["id"])
    assert done["settings"]["num_frames"] == 25 and done["seconds"] == "1"
    fields = {k: v for k, v in QUICK.items() if k != "num_frames"}
    reply = server.post("/v1/videos", {**fields, "seconds": "1", "fps": 8})
    assert reply.status == 200, reply.body
    done = server.wait(reply.json["id"])
    assert done["seconds"] == "1" and done["settings"]["num_frames"] == 9
    path = tmp_path / "film.mp4"
    path.write_bytes(server.film(done["id"]))
    probe = json.loads(subprocess.run(
        ["ffprobe", "-v", "error", "-show_streams", "-show_format", "-count_frames",
         "-of", "json", path], capture_output=True, check=True).stdout)
    streams = {s["codec_type"]: s for s in probe["streams"]}
    assert streams["video"]["width"] == 48 and streams["video"]["height"] == 32
    assert streams["video"]["nb_read_frames"] == "9"
    assert streams["audio"]["sample_rate"] == "48000"
    assert QUICK["prompt"] in json.dumps(probe["format"]["tags"])


def test_silent_and_webm(server):
    video = server.create(generate_sound="false", format="webm")
    assert server.wait(video["id"])["status"] == "completed"
    reply = server.get(f"/v1/videos/{video['id']}/content")
    assert reply.headers["content-type"] == "video/webm"
    assert reply.body[:4] == b"\x1a\x45\xdf\xa3" and b"A_OPUS" not in reply.body


def test_a_seed_is_drawn_and_told(server):
    fields = {k: v for k, v in QUICK.items() if k != "seed"}
    seeds = {server.request("POST", "/v1/videos", fields).json["settings"]["seed"]
             for _ in range(3)}
    assert len(seeds) == 3


WRONG = [
    ({"prompt": None}, "prompt"),
    ({"size": "50x32"}, "size"),
    ({"size": "big"}, "size"),
    ({"size": None, "width": 50, "height": 32}, "width"),
    ({"size": None, "width": 48}, "width"),
    ({"num_frames": 10}, "num_frames"),
    ({"num_frames": "many"}, "num_frames"),
    ({"seconds": "8"}, "seconds"),
    ({"num_frames": None, "seconds": "0"}, "seconds"),
    ({"fps": 0.5}, "fps"),
    ({"seed": -1}, "seed"),
    ({"seed": "1.5"}, "seed"),
    ({"num_inference_steps": 0}, "num_inference_steps"),
    ({"guidance_scale": 101}, "guidance_scale"),
    ({"guidance_scale": "nan"}, "guidance_scale"),
    ({"model": "sora-2"}, "model"),
    ({"n": 2}, "n"),
    ({"generate_sound": "maybe"}, "generate_sound"),
    ({"enable_teacache": "true"}, "enable_teacache"),
    ({"output_path": "/etc/passwd"}, "output_path"),
    ({"guidance_scale": 1, "negative_prompt": "blur"}, "negative_prompt"),
    ({"flow_shift": 3}, "flow_shift"),
    ({"flow_shift": 3, "visual_shift": 3}, "visual_shift"),
    ({"no_such_field": 1}, "no_such_field"),
    ({"input_reference": "cat.png"}, "input_reference"),
    ({"input_reference[image_url]": "data:image/png;base64,%%%"},
     "input_reference[image_url]"),
    ({"input_reference[image_url]": "http://127.0.0.1/x.png"},
     "input_reference[image_url]"),
    ({"input_reference[file_id]": "file_1"}, "input_reference[file_id]"),
    ({"webhook_url": "http://example.com/"}, "webhook_url"),
    ({"prompt": "bell \a"}, "prompt"),
]


@pytest.mark.parametrize("change, param", WRONG)
def test_what_is_wrong_is_named(server, change, param):
    fields = {k: v for k, v in {**QUICK, **change}.items() if v is not None}
    reply = server.post("/v1/videos", fields)
    assert reply.status == 400, reply.body
    assert set(reply.error) == {"message", "type", "param", "code"}
    assert reply.error["param"] == param
    assert reply.error["type"] == "invalid_request_error"
    assert reply.headers["x-request-id"].startswith("req_")
    if not param.startswith(("input", "prompt", "flow")):
        as_json = server.request("POST", "/v1/videos", fields)
        assert as_json.status == 400 and as_json.error["param"] == param


def test_broken_pictures_and_bodies(server):
    cut = server.post("/v1/videos", QUICK, {"input_reference": ("x.png", png()[:200])})
    assert cut.status == 400 and cut.error["param"] == "input_reference"
    for body in ("", "[]", "{", '{"prompt": "a", "prompt": "b"}', '{"prompt": ["a"]}',
                 '{"prompt": "\\ud800"}', '{"prompt": 1e400}'):
        reply = server.request("POST", "/v1/videos", body,
                               {"Content-Type": "application/json"})
        assert reply.status == 400, body
    assert server.request("POST", "/v1/videos", "prompt=a", {
        "Content-Type": "text/plain"}).status == 415


def test_not_found_and_wrong_methods(server):
    for path in ("/v1/videos/video_0123456789", "/v1/videos/nonsense",
                 "/v1/videos/video_00/content", "/v1/videos/..%2f..%2fetc", "/nowhere",
                 "/v1/models/other", "/v1/videos/" + "v" * 400):
        reply = server.get(path)
        assert reply.status == 404 and reply.error["message"], path
    reply = server.request("PUT", "/v1/videos")
    assert reply.status == 405 and reply.headers["allow"] == "POST, GET"
    assert server.request("DELETE", "/v1/videos/video_00").status == 404


def test_pages_of_a_list(start):
    server = start("--rate", "0")
    ids = [server.create(num_inference_steps=1)["id"] for _ in range(7)]
    assert ids == sorted(ids)
    for order, wanted in (("asc", ids), ("desc", ids[::-1])):
        seen, after = [], ""
        for page_number in range(3):
            page = server.get(f"/v1/videos?limit=3&order={order}{after}").json
            assert page["object"] == "list"
            seen += [v["id"] for v in page["data"]]
            assert page["first_id"] == page["data"][0]["id"]
            assert page["has_more"] == (page_number < 2)
            after = "&after=" + page["last_id"]
        assert seen == wanted
        back = server.get(f"/v1/videos?limit=3&order={order}&before={wanted[5]}").json
        assert [v["id"] for v in back["data"]] == wanted[2:5] and back["has_more"]
        back = server.get(f"/v1/videos?limit=3&order={order}&before={wanted[2]}").json
        assert [v["id"] for v in back["data"]] == wanted[:2] and not back["has_more"]
    # A cursor outlives its video.
    server.wait(ids[3])
    server.request("DELETE", "/v1/videos/" + ids[3])
    page = server.get(f"/v1/videos?limit=2&order=asc&after={ids[3]}").json
    assert [v["id"] for v in page["data"]] == ids[4:6]
    empty = server.get("/v1/videos?after=" + ids[0]).json
    assert empty["data"] == [] and empty["first_id"] is None and not empty["has_more"]


@pytest.mark.parametrize("query, param", [
    ("limit=0", "limit"), ("limit=101", "limit"), ("limit=x", "limit"),
    ("order=up", "order"), ("after=../x", "after"), ("page=2", "page"),
    ("limit", "limit"), ("limit=1&limit=2", "limit"), ("limit=5%00", "limit"),
    ("limit=%", "limit"), ("after=", "after"), ("order=asc&order=asc", "order")])
def test_lists_refuse_what_they_do_not_know(server, query, param):
    reply = server.get("/v1/videos?" + query)
    assert reply.status == 400 and reply.error["param"] == param


def test_content_ranges_and_variants(server):
    video = server.create()
    server.wait(video["id"])
    path = f"/v1/videos/{video['id']}/content"
    whole = server.get(path)
    size = len(whole.body)
    assert whole.headers["accept-ranges"] == "bytes"
    assert whole.headers["content-type"] == "video/mp4"
    for header, begin, end in (("bytes=0-99", 0, 99), ("bytes=100-", 100, size - 1),
                               ("bytes=-50", size - 50, size - 1),
                               ("bytes=10-9999999999", 10, size - 1)):
        part = server.get(path, headers={"Range": header})
        assert part.status == 206
        assert part.headers["content-range"] == f"bytes {begin}-{end}/{size}"
        assert part.body == whole.body[begin:end + 1]
    outside = server.get(path, headers={"Range": f"bytes={size}-"})
    assert outside.status == 416
    assert outside.headers["content-range"] == f"bytes */{size}"
    for ignored in ("bytes=a-b", "bytes=5-2", "bytes=0-1,4-5", "lines=1-2", "bytes=-"):
        assert server.get(path, headers={"Range": ignored}).status == 200
    head = server.request("HEAD", path)
    assert head.status == 200 and head.body == b""
    assert head.headers["content-length"] == str(size)
    for variant in ("thumbnail", "spritesheet"):
        picture = server.get(f"{path}?variant={variant}")
        assert picture.status == 200 and picture.headers["content-type"] == "image/webp"
        assert picture.body[:4] == b"RIFF" and picture.body[8:12] == b"WEBP"
    assert server.get(path + "?variant=video").body == whole.body
    assert server.get(path + "?variant=gif").error["param"] == "variant"
    assert server.get(path + "?what=1").error["param"] == "what"
    assert server.get(path + "?variant=video&variant=video").error["param"] == "variant"


def test_a_query_that_nobody_reads_is_refused(server):
    video = server.create()
    one = "/v1/videos/" + video["id"]
    for method, path, body in (
            ("POST", "/v1/videos", QUICK), ("POST", "/v1/videos/sync", QUICK),
            ("GET", "/v1/videos", None), ("GET", one, None), ("HEAD", one, None),
            ("GET", one + "/content", None), ("GET", one + "/events", None),
            ("POST", one + "/remix", {"prompt": "x"}), ("POST", one + "/cancel", None),
            ("DELETE", one, None), ("GET", "/v1/models", None),
            ("GET", "/v1/models/tiny", None), ("POST", "/v1/videos/edits", {}),
            ("POST", "/v1/videos/characters", {}),
            ("GET", "/v1/videos/characters/c", None)):
        for query, param in (("seed=1", "seed"), ("what", "what"), ("=", "")):
            reply = server.request(method, f"{path}?{query}", body)
            assert reply.status == 400, (method, path)
            if method != "HEAD":
                assert reply.error["param"] == param, (method, path)
                assert reply.error["code"] == "unknown", (method, path)
        assert server.get(one).status == 200
    assert [v["id"] for v in server.get("/v1/videos?limit=1").json["data"]] == [video["id"]]
    for path in ("/", "/health", "/metrics", "/openapi.json"):
        assert server.get(path + "?from=elsewhere").status == 200, path
    big = server.post("/v1/videos?seed=1", QUICK, {"input_reference": ("a", b"x" * (3 << 20))})
    assert big.status == 400 and big.error["param"] == "seed"
    sync = server.request("POST", "/v1/videos/sync?variant=thumbnail", QUICK)
    assert sync.status == 200 and sync.headers["content-type"] == "image/webp"


def test_content_before_the_end(server):
    video = server.create(**SLOW)
    reply = server.get(f"/v1/videos/{video['id']}/content")
    assert reply.status == 404 and reply.error["code"] == "video_not_ready"
    assert int(server.get("/v1/videos/" + video["id"])
               .headers["openai-poll-after-ms"]) >= 500
    assert server.request("DELETE", "/v1/videos/" + video["id"]).status == 200


def test_deleting(server):
    finished, running, queued = (server.create(), server.create(**SLOW),
                                 server.create())
    server.wait(finished["id"])
    server.wait(running["id"], "in_progress")
    assert server.video(queued["id"])["queue_position"] == 1
    for video in (queued, running, finished):
        reply = server.request("DELETE", "/v1/videos/" + video["id"])
        assert reply.json == {"id": video["id"], "object": "video.deleted",
                              "deleted": True}
        assert server.get("/v1/videos/" + video["id"]).status == 404
        again = server.request("DELETE", "/v1/videos/" + video["id"])
        assert again.status == 404 and again.error["code"] == "video_not_found"
    end = time.monotonic() + 10
    while (left := set(p.name for p in (server.folder / "videos").iterdir()) &
           {finished["id"], running["id"], queued["id"]}) and time.monotonic() < end:
        time.sleep(0.05)
    assert not left
    assert server.wait(server.create()["id"])["status"] == "completed"


def test_conditional_content(server):
    video = server.create()["id"]
    server.wait(video)
    path = f"/v1/videos/{video}/content"
    whole = server.get(path)
    tag = whole.headers["etag"]
    assert tag.startswith('"') and tag.endswith('"')
    assert server.get(path + "?variant=thumbnail").headers["etag"] != tag
    for known in (tag, "*", f'"x", W/{tag}', f"{tag},\"y\""):
        same = server.get(path, headers={"If-None-Match": known})
        assert same.status == 304 and same.body == b"" and same.headers["etag"] == tag
    for other in ('"x"', tag[:-1], tag[1:]):
        assert server.get(path, headers={"If-None-Match": other}).body == whole.body
    part = {"Range": "Bytes=2-5"}
    assert server.get(path, headers={**part, "If-Range": tag}).body == whole.body[2:6]
    assert server.get(path, headers={**part, "If-Range": '"x"'}).body == whole.body
    sync = server.request("POST", "/v1/videos/sync", QUICK, part)
    assert sync.status == 200 and sync.body == whole.body
    for ranges in (part, {"Range": "bytes=99999999-"}):     # GET alone has them
        head = server.request("HEAD", path, headers=ranges)
        assert head.status == 200 and head.body == b""
        assert head.headers["content-length"] == str(len(whole.body))


def test_cancelling(server):
    running, queued = server.create(**SLOW), server.create()
    server.wait(running["id"], "in_progress")
    assert server.request("POST", f"/v1/videos/{queued['id']}/cancel").json[
        "status"] == "failed"
    server.request("POST", f"/v1/videos/{running['id']}/cancel")
    for video in (running, queued):
        done = server.wait(video["id"], seconds=10)
        assert done["status"] == "failed" and done["error"]["code"] == "cancelled"
        reply = server.request("POST", f"/v1/videos/{video['id']}/cancel")
        assert reply.status == 409 and reply.headers["x-should-retry"] == "false"
        content = server.get(f"/v1/videos/{video['id']}/content")
        assert content.status == 404 and content.error["code"] == "video_failed"


def test_remix(server):
    first = server.create({"input_reference": ("a.png", png())})
    server.wait(first["id"])
    path = f"/v1/videos/{first['id']}/remix"
    remix = server.request("POST", path, {"prompt": "A blue ball bounces."}).json
    assert remix["remixed_from_video_id"] == first["id"]
    assert remix["prompt"] == "A blue ball bounces."
    assert {k: v for k, v in remix["settings"].items() if k != "prompt"} == \
        {k: v for k, v in first["settings"].items() if k != "prompt"}
    assert server.wait(remix["id"])["status"] == "completed"
    assert server.film(remix["id"]) != server.film(first["id"])
    same = server.post(path, {"prompt": QUICK["prompt"]}).json
    server.wait(same["id"])
    assert server.film(same["id"]) == server.film(first["id"])
    take = server.request("POST", path, {"prompt": QUICK["prompt"], "seed": 8}).json
    assert take["settings"] == {**first["settings"], "seed": 8}
    assert server.request("POST", path, {"prompt": "x", "fps": 3}).error[
        "param"] == "fps"
    assert server.request("POST", path, {"prompt": "x", "seed": "y"}).error[
        "param"] == "seed"
    assert server.request("POST", path, {}).error["param"] == "prompt"


def test_sync(server):
    reply = server.post("/v1/videos/sync", QUICK)
    assert reply.status == 200 and reply.headers["content-type"] == "video/mp4"
    assert reply.body == server.film(reply.headers["x-video-id"])
    wrong = server.post("/v1/videos/sync", {**QUICK, "size": "1x1"})
    assert wrong.status == 400 and wrong.error["param"] == "size"


def leave(server, body, headers=""):
    """Asks /v1/videos/sync and goes away when the film is in the list; its id."""
    known = {v["id"] for v in server.get("/v1/videos?limit=100").json["data"]}
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall((
            f"POST /v1/videos/sync HTTP/1.1\r\nHost: localhost\r\n{headers}"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            f"{body}").encode())
        while not (new := [v["id"] for v in server.get(
                "/v1/videos?limit=100").json["data"] if v["id"] not in known]):
            time.sleep(0.02)
    return new[0]


def test_sync_knows_its_query_before_the_film(server):
    newest = server.get("/v1/videos?limit=1").json["data"]
    for query, param in (("nonsense=1", "nonsense"), ("variant=x", "variant"),
                         ("variant=video&variant=video", "variant")):
        reply = server.post("/v1/videos/sync?" + query, QUICK)
        assert reply.status == 400 and reply.error["param"] == param, reply.body
    after = server.get("/v1/videos?limit=1").json["data"]
    assert [v["id"] for v in after] == [v["id"] for v in newest]
    reply = server.post("/v1/videos/sync?variant=thumbnail", QUICK)
    assert reply.status == 200 and reply.headers["content-type"] == "image/webp"


def test_sync_is_cancelled_when_its_client_goes_away(server):
    busy = server.create(**SLOW)
    server.wait(busy["id"], "in_progress")
    queued = leave(server, json.dumps(QUICK))
    kept = leave(server, json.dumps(QUICK), "Idempotency-Key: come-back\r\n")
    done = server.wait(queued, seconds=30)
    assert done["error"]["code"] == "cancelled" and not done["started_at"]
    server.request("DELETE", "/v1/videos/" + busy["id"])
    assert server.wait(kept)["status"] == "completed"
    again = server.request("POST", "/v1/videos/sync", QUICK,
                           {"Idempotency-Key": "come-back"})
    assert again.headers["x-video-id"] == kept and again.body == server.film(kept)
    running = leave(server, json.dumps({**SLOW, "num_inference_steps": 1000}))
    assert server.wait(running)["error"]["code"] == "cancelled"


def test_switches_that_are_off_anyway(server):
    """A client that says what it does not want is right."""
    off = {"enable_teacache": False, "enable_upscaling": "false", "profile": 0, "n": 1}
    assert server.request("POST", "/v1/videos", {**QUICK, **off}).status == 200
    on = server.request("POST", "/v1/videos", {**QUICK, "enable_teacache": True})
    assert on.status == 400 and on.error["param"] == "enable_teacache"
    assert "no effect" in on.error["message"]


def test_sync_of_a_film_that_is_deleted(server):
    replies = []
    waiting = threading.Thread(target=lambda: replies.append(
        server.request("POST", "/v1/videos/sync", {**SLOW, "prompt": "Gone."})))
    waiting.start()
    while not (mine := [v["id"] for v in server.get("/v1/videos?limit=5").json["data"]
                        if v["prompt"] == "Gone."]):
        time.sleep(0.02)
    server.request("DELETE", "/v1/videos/" + mine[0])
    waiting.join(60)
    assert replies[0].status == 409 and replies[0].error["code"] == "deleted"


def test_what_the_model_cannot_do(server):
    files = {"video": ("film.mp4", b"x" * 300000)}
    for path in ("/v1/videos/edits", "/v1/videos/extensions", "/v1/videos/characters"):
        reply = server.post(path, {"prompt": "x", "seconds": "4"}, files)
        assert reply.status == 400 and reply.error["code"] == "unsupported", path
        assert reply.error["type"] == "invalid_request_error"
        assert "/v1/videos" in reply.error["message"]
        assert server.get(path).headers["allow"] == "POST"
    assert server.get("/v1/videos/characters/c_1").error["code"] == "unsupported"


def test_idempotency(server):
    headers = {"Idempotency-Key": "once"}
    first = server.create(headers=headers)
    again = server.request("POST", "/v1/videos", QUICK, headers).json
    assert again["id"] == first["id"]
    other = server.post("/v1/videos", {**QUICK, "seed": 8}, headers=headers)
    assert other.status == 409 and other.error["code"] == "idempotency_mismatch"
    assert other.headers["x-should-retry"] == "false"
    for key in ("k" * 300, "a b", "", "t\u00e4t"):
        wrong = server.request("POST", "/v1/videos", QUICK,
                               {"Idempotency-Key": key.encode()})
        assert wrong.status == 400 and wrong.error["param"] == "Idempotency-Key"


def test_idempotency_of_remixes(server):
    """The same fields for another original are another request."""
    first, second = server.create(), server.create()
    headers, body = {"Idempotency-Key": "remix"}, {"prompt": "Blue."}

    def remix(video):
        return server.request("POST", f"/v1/videos/{video['id']}/remix", body, headers)
    made = remix(first).json
    assert remix(first).json["id"] == made["id"]
    assert remix(second).status == 409
    assert server.request("POST", "/v1/videos", body, headers).status == 409


def test_models_health_and_metrics(server):
    server.create()
    models = server.get("/v1/models").json
    assert models["object"] == "list" and models["data"][0]["id"] == "tiny"
    assert models["data"][0]["defaults"]["fps"] > 0
    assert server.get("/v1/models/tiny").json["size_multiple"] == 16
    assert server.get("/health").json["status"] == "ok"
    assert server.get("/ready").json["status"] == "ready"
    metrics = server.get("/metrics")
    assert metrics.headers["content-type"].startswith("text/plain; version=0.0.4")
    values = dict(line.rsplit(" ", 1) for line in metrics.body.decode().splitlines()
                  if not line.startswith("#"))
    assert float(values['phonofilm_videos_total{outcome="accepted"}']) >= 1
    assert float(values["phonofilm_paused"]) == 0
    assert float(values['phonofilm_http_replies_total{class="2xx"}']) >= 1


def test_events_from_beginning_to_end(server):
    video = server.create(size="96x64", num_inference_steps=12)
    events = server.events(video["id"])
    states = [data for event, data in events if event == "status"]
    assert states[-1]["status"] == "completed" and states[-1]["progress"] == 100
    assert [s["progress"] for s in states] == sorted(s["progress"] for s in states)
    running = [s for s in states if s["status"] == "in_progress"]
    assert {"denoise", "decode video"} <= {s["stage"] for s in running}
    assert any(s["seconds_left"] is not None for s in running)
    previews = [data for event, data in events if event == "preview"]
    assert previews and previews[-1]["image"].startswith("data:image/webp;base64,")
    assert previews[0]["width"] == 12 and previews[0]["height"] == 8
    assert base64.b64decode(previews[0]["image"].split(",")[1])[:4] == b"RIFF"
    after = server.events(video["id"])
    assert [e for e, _ in after] == ["status"]
    assert server.get("/v1/videos/video_0/events").status == 404


def test_events_tell_of_queue_and_deletion(server):
    running, queued = server.create(**SLOW), server.create()
    first = server.events(queued["id"], until=lambda *_: True)
    assert first[0][1]["queue_position"] == 1
    server.request("DELETE", "/v1/videos/" + running["id"])
    assert server.events(queued["id"])[-1][1]["status"] == "completed"
    doomed = server.create(**SLOW)
    seen = server.events(doomed["id"], until=lambda event, data: server.request(
        "DELETE", "/v1/videos/" + doomed["id"]) and event == "deleted")
    assert seen[-1] == ("deleted", {"id": doomed["id"]})


def test_a_model_with_a_slash_in_its_name(start):
    server = start("--served-model-name", "org/tiny model")
    assert server.get("/v1/models").json["data"][0]["id"] == "org/tiny model"
    for path in ("/v1/models/org/tiny%20model", "/v1/models/org%2Ftiny%20model"):
        assert server.get(path).json["id"] == "org/tiny model", path
    assert server.get("/v1/models/org").error["code"] == "model_not_found"
    assert server.create(model="org/tiny model")["model"] == "org/tiny model"
