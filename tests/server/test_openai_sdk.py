# SPDX-License-Identifier: Apache-2.0
"""The unmodified Python package of OpenAI against this server."""
import base64
import io
import json
import time

import pytest
from conftest import NO_PACKAGE, SLOW, png
from test_webhooks import SECRET, hooked, receiver, wait_for  # noqa: F401

openai = pytest.importorskip("openai", reason="openai: " + NO_PACKAGE)
# It warns of the end of a service that it was made for.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

KEY = "correct-horse-battery"
SMALL = {"num_frames": 9, "num_inference_steps": 2, "seed": 7}


@pytest.fixture(scope="module")
def shared(model, tmp_path_factory):
    from conftest import Server
    folder = tmp_path_factory.mktemp("sdk")
    (folder / "keys").write_text(f"ann:{KEY}\n")
    server = Server(model, folder / "films", "--rate", "0", "--api-key-file",
                    folder / "keys", "--max-queue", "12", key=KEY)
    yield server
    assert server.stop() == 0


def client_of(server, key=KEY, **more):
    return openai.OpenAI(base_url=f"http://127.0.0.1:{server.port}/v1",
                         api_key=key or "unused", max_retries=0, **more)


@pytest.fixture
def client(shared):
    with client_of(shared) as it:
        yield it


def test_create_and_poll(client):
    video = client.videos.create_and_poll(
        prompt="A ball.", size="48x32", extra_body=SMALL,
        input_reference=("a.png", io.BytesIO(png()), "image/png"))
    assert video.status == "completed" and video.progress == 100
    assert video.object == "video" and video.size == "48x32"
    assert video.created_at <= video.completed_at < video.expires_at
    assert client.videos.retrieve(video.id) == video
    film = client.videos.download_content(video.id).read()
    assert film[4:8] == b"ftyp"
    thumbnail = client.videos.download_content(video.id, variant="thumbnail").read()
    assert thumbnail[:4] == b"RIFF"


def test_a_picture_by_data_uri(client):
    uri = "data:image/png;base64," + base64.b64encode(png()).decode()
    # This version of the package refuses the object that its own types allow.
    a = client.videos.create_and_poll(prompt="A ball.", size="48x32", extra_body={
        **SMALL, "input_reference": {"image_url": uri}})
    b = client.videos.create_and_poll(prompt="A ball.", size="48x32", extra_body={
        "extra_params": SMALL}, input_reference=("a.png", png(), "image/png"))
    assert a.status == b.status == "completed"
    assert (client.videos.download_content(a.id).read()
            == client.videos.download_content(b.id).read())


def test_paging_by_iteration(client):
    made = [client.videos.create(prompt=f"{i}", size="32x32", extra_body={
        **SMALL, "num_frames": 1, "num_inference_steps": 1}).id for i in range(7)]
    everything = [v.id for v in client.videos.list(limit=3, order="asc")]
    assert everything[-7:] == made
    assert [v.id for v in client.videos.list(limit=3)] == everything[::-1]
    page = client.videos.list(limit=3)
    assert page.has_more and len(page.data) == 3 and page.has_next_page()
    assert [v.id for v in page.get_next_page().data] == everything[::-1][3:6]


def test_remix_and_delete(client):
    first = client.videos.create_and_poll(prompt="A ball.", size="48x32",
                                          extra_body=SMALL)
    remix = client.videos.remix(first.id, prompt="A cube.")
    assert remix.remixed_from_video_id == first.id and remix.prompt == "A cube."
    assert client.videos.poll(remix.id).status == "completed"
    gone = client.videos.delete(first.id)
    assert gone.deleted and gone.id == first.id and gone.object == "video.deleted"
    with pytest.raises(openai.NotFoundError) as caught:
        client.videos.retrieve(first.id)
    assert caught.value.code == "video_not_found" and caught.value.param == "video_id"
    assert caught.value.type == "invalid_request_error"
    assert caught.value.request_id.startswith("req_")


def test_errors_are_typed(client, shared):
    with pytest.raises(openai.BadRequestError) as caught:
        client.videos.create(prompt="A ball.", size="50x32")
    assert caught.value.param == "size" and caught.value.code == "invalid"
    assert "multiple of 16" in caught.value.message
    with pytest.raises(openai.BadRequestError) as caught:
        client.videos.create(prompt="A ball.", model="sora-2")
    assert caught.value.param == "model"
    with pytest.raises(openai.AuthenticationError) as caught:
        client_of(shared, "not-one-of-the-keys").videos.list()
    assert caught.value.code == "invalid_api_key"
    slow = client.videos.create(prompt="x", size=SLOW["size"], extra_body={
        k: SLOW[k] for k in ("num_frames", "num_inference_steps")})
    with pytest.raises(openai.NotFoundError) as caught:
        client.videos.download_content(slow.id)
    assert caught.value.code == "video_not_ready"
    with pytest.raises(openai.RateLimitError) as caught:
        for _ in range(14):
            client.videos.create(prompt="x", size="32x32", extra_body=SMALL)
    assert caught.value.code == "queue_full"
    assert int(caught.value.response.headers["retry-after"]) >= 1
    for video in client.videos.list(limit=100):
        client.videos.delete(video.id)


def test_what_the_model_cannot_do(client):
    film = ("film.mp4", io.BytesIO(b"x" * 100000), "video/mp4")
    for call in (lambda: client.videos.edit(prompt="Bluer.", video=film),
                 lambda: client.videos.extend(prompt="On.", seconds="4", video=film),
                 lambda: client.videos.create_character(name="Ann", video=film),
                 lambda: client.videos.get_character("char_1")):
        with pytest.raises(openai.BadRequestError) as caught:
            call()
        assert caught.value.code == "unsupported"


def test_an_idempotency_key_by_header(client):
    headers = {"Idempotency-Key": "sdk"}
    ids = {client.videos.create(prompt="A ball.", size="48x32", extra_body=SMALL,
                                extra_headers=headers).id for _ in range(2)}
    assert len(ids) == 1


def test_models(client):
    assert [m.id for m in client.models.list()] == ["tiny"]
    assert client.models.retrieve("tiny").owned_by == "phonofilm"


def test_async_client(shared):
    import asyncio

    async def run():
        async with openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{shared.port}/v1",
                                      api_key=KEY) as client:
            video = await client.videos.create_and_poll(
                prompt="A ball.", size="48x32", extra_body=SMALL)
            assert video.status == "completed"
            return [v.id async for v in client.videos.list(limit=2)]
    assert asyncio.run(run())


def test_webhooks_unwrap(hooked, receiver):  # noqa: F811
    client = client_of(hooked, None, webhook_secret="whsec_" + SECRET)
    url = f"http://127.0.0.1:{receiver.server_port}/hook"
    video = client.videos.create(prompt="A ball.", size="48x32",
                                 extra_body={**SMALL, "webhook_url": url})
    headers, body = wait_for(receiver, 1)[0]
    event = client.webhooks.unwrap(body, headers)
    assert event.type == "video.completed" and event.data.id == video.id
    tampered = json.loads(body) | {"created_at": int(time.time()) + 1}
    with pytest.raises(openai.InvalidWebhookSignatureError):
        client.webhooks.unwrap(json.dumps(tampered), headers)
