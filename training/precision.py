# SPDX-License-Identifier: Apache-2.0
"""bf16 where the machine multiplies it faster than f32, else f32."""
import torch


def fast(device):
    """The dtype of fast products on a device ("cpu", "cuda")."""
    has_bf16 = device != "cpu" or torch.cpu._is_avx512_bf16_supported()
    return torch.bfloat16 if has_bf16 else torch.float32


def autocast(device):
    kind = fast(device)
    return torch.autocast(device, torch.bfloat16, enabled=kind == torch.bfloat16)
