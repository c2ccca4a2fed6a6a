# SPDX-License-Identifier: Apache-2.0
"""What bench/server/load.py compares with: the status call and the events of a video
server as FastAPI has them, with nothing behind them.  Prints its port."""
import asyncio
import json
import socket
import time

import fastapi
import fastapi.responses
import uvicorn

app = fastapi.FastAPI()
VIDEO = {"id": "video_0", "object": "video", "model": "tiny", "status": "in_progress",
         "progress": 1, "created_at": int(time.time()), "completed_at": None,
         "expires_at": None, "seconds": "1.375", "size": "160x96",
         "prompt": "A long rain.", "remixed_from_video_id": None, "error": None}


@app.get("/v1/videos/{video_id}")
async def retrieve(video_id: str):
    return VIDEO | {"id": video_id}


@app.get("/v1/videos/{video_id}/events")
async def events(video_id: str):
    async def stream():
        while True:
            yield f"event: status\ndata: {json.dumps(VIDEO)}\n\n"
            await asyncio.sleep(0.2)
    return fastapi.responses.StreamingResponse(stream(), media_type="text/event-stream")


listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
print(listener.getsockname()[1], flush=True)
uvicorn.Server(uvicorn.Config(app, log_level="error")).run(sockets=[listener])
