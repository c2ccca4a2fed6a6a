# SPDX-License-Identifier: Apache-2.0
"""Writes a model folder in the published layout, weights as BF16."""
import os

from . import prompts, store, tokenizer, tower_losses, train_audio_vae, \
    train_towers, train_video_vae

GENERATION = dict(height=64, width=64, num_frames=49, fps=24, num_inference_steps=16,
                  guidance_scale=4.0, guidance_scale_2=1.0, text_only=True,
                  made_for=dict(
                      about="A ball or a cube of wood, metal or rubber falls onto a floor "
                            "in front of a wall, bounces and sounds.",
                      sizes=["64x64"], num_frames=[49], languages=["en"],
                      subjects=prompts.subjects(), words=" ".join(prompts.words())))
SCHEDULER = dict(_class_name="FlowMatchPairScheduler", _diffusers_version="0.36.0",
                 num_train_timesteps=1000, shift=5.0, sigma_min=0.0, sigma_max=1.0,
                 extra_one_step=True)
CLASSES = dict(audio_dit=("mova.diffusion.models", "WanAudioModel"),
               audio_vae=("mova.diffusion.models", "DAC"),
               dual_tower_bridge=("mova.diffusion.models", "DualTowerConditionalBridge"),
               scheduler=("mova.diffusion.schedulers", "FlowMatchPairScheduler"),
               text_encoder=("transformers", "UMT5EncoderModel"),
               tokenizer=("transformers", "T5TokenizerFast"),
               video_dit=("mova.diffusion.models", "WanModel"),
               video_dit_2=("mova.diffusion.models", "WanModel"),
               video_vae=("diffusers", "AutoencoderKLWan"))
STAGES = ("video_vae", "audio_vae", "towers")


def write_part(target, part, config, tensors):
    stem = "model" if part == "text_encoder" else "diffusion_pytorch_model"
    store.save_json(f"{target}/{part}/config.json", config)
    store.save_weights(f"{target}/{part}/{stem}.safetensors", tensors)


def write_tokenizer(target, init):
    folder = f"{target}/tokenizer"
    contents = store.load_json(f"{init}/tokenizer/tokenizer.json") if init \
        else tokenizer.build(prompts.words())
    store.save_json(f"{folder}/tokenizer.json", contents)
    store.save_json(f"{folder}/tokenizer_config.json", tokenizer.CONFIG)
    store.save_json(f"{folder}/special_tokens_map.json", tokenizer.SPECIAL_MAP)


def history(folder, init):
    """Seconds and steps of every stage, those of the model it began from included."""
    path = f"{init}/training.json" if init else ""
    out = store.load_json(path)["runs"] if os.path.exists(path) else []
    run = dict(store.load_json(f"{folder}/run.json"))
    for stage in STAGES:
        state = store.load_checkpoint(f"{folder}/{stage}.checkpoint")
        run[stage] = dict(seconds=round(state["seconds"]), steps=state["step"])
    # A run that replaces the model it began from may be exported twice.
    return dict(runs=[past for past in out if past != run] + [run])


def export(folder, target):
    """Write the model of the run in `folder`, as far as it is trained, to `target`.

    Returns the bytes of everything in `target`, its card included."""
    init = store.load_json(f"{folder}/run.json").get("init")
    log = history(folder, init)
    video_vae, audio_vae = train_video_vae.load(folder), train_audio_vae.load(folder)
    model, _ = train_towers.load(folder)
    stats = store.load_json(f"{folder}/latents/statistics.json")
    config = dict(video_vae.config, latents_mean=stats["mean"], latents_std=stats["std"])
    write_tokenizer(target, init)
    write_part(target, "video_vae", config, video_vae.state_dict())
    write_part(target, "audio_vae", audio_vae.config, audio_vae.state_dict())
    for part in train_towers.PARTS:
        module = getattr(model, part)
        write_part(target, part, module.config, module.state_dict())
    store.save_json(f"{target}/scheduler/scheduler_config.json", SCHEDULER)
    store.save_json(f"{target}/generation_config.json", GENERATION)
    store.save_json(f"{target}/model_index.json", dict(
        _class_name="MOVA", _diffusers_version="0.36.0", audio_vae_type="dac",
        boundary_ratio=tower_losses.BOUNDARY, **{k: list(v) for k, v in CLASSES.items()}))
    store.save_json(f"{target}/training.json", log)
    size = sum(os.path.getsize(os.path.join(root, name))
               for root, _, names in os.walk(target) for name in names)
    print(f"{target}: {size / 1e6:.2f} MB", flush=True)
    return size
