# SPDX-License-Identifier: Apache-2.0
"""Files: safetensors of BF16 weights, JSON, and writes that survive a kill."""
import io
import json
import os
import pickle
import struct

import torch

STORED = {"BF16": torch.bfloat16, "F32": torch.float32, "F16": torch.float16}


def replace(path, write):
    """Write a file beside `path` with write(name), then put it in its place; two
    processes that write the same leave the last one's."""
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    part = f"{path}.{os.getpid()}.part"
    try:
        write(part)
        with open(part, "rb") as f:
            os.fsync(f.fileno())
        os.replace(part, path)
    except BaseException:
        if os.path.exists(part):
            os.remove(part)
        raise


class Damaged(Exception):
    """A file that cannot be what was written; its text is the path."""


def save_checkpoint(path, state):
    """In memory first: PyTorch does not say why it could not write to a file."""
    packed = io.BytesIO()
    torch.save(state, packed)

    def write(name):
        with open(name, "wb") as f:
            f.write(packed.getbuffer())
    replace(path, write)


def load_checkpoint(path):
    with open(path, "rb") as f:
        try:
            return torch.load(f, map_location="cpu", weights_only=True)
        except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
            raise Damaged(path) from error


def save_json(path, value):
    def write(name):
        with open(name, "w") as f:
            json.dump(value, f, indent=2, ensure_ascii=False)
            f.write("\n")
    replace(path, write)


def load_json(path):
    with open(path) as f:
        return json.load(f)


def _header(tensors):
    header, at = {"__metadata__": {"format": "pt"}}, 0
    for name, t in tensors.items():
        size = 2 * t.numel()
        header[name] = {"dtype": "BF16", "shape": list(t.shape),
                        "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header, separators=(",", ":")).encode()
    return text + b" " * (-len(text) % 8)


def save_weights(path, tensors):
    """Write {name: tensor} as BF16."""
    header = _header(tensors)

    def write(name):
        with open(name, "wb") as f:
            f.write(struct.pack("<Q", len(header)) + header)
            for t in tensors.values():
                bits = t.detach().to(torch.bfloat16).contiguous().view(torch.int16)
                f.write(bits.cpu().numpy().astype("<i2").tobytes())
    replace(path, write)


def load_weights(path):
    """{name: f32 tensor} of a safetensors file."""
    with open(path, "rb") as f:
        data = bytearray(f.read())
    length = struct.unpack_from("<Q", data)[0]
    header = json.loads(data[8:8 + length])
    out = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = (8 + length + at for at in entry["data_offsets"])
        kind = STORED[entry["dtype"]]
        out[name] = torch.frombuffer(bytearray(data[begin:end]), dtype=kind) \
            .view(entry["shape"]).float() if end > begin else torch.zeros(entry["shape"])
    return out


def load_folder(folder):
    """{name: f32 tensor} of every safetensors file of a component."""
    out = {}
    for name in sorted(os.listdir(folder)):
        if name.endswith(".safetensors"):
            out.update(load_weights(os.path.join(folder, name)))
    return out
