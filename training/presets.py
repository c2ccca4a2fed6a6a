# SPDX-License-Identifier: Apache-2.0
"""Sizes of the models and shares of the training time."""

VIDEO_VAE = dict(_class_name="AutoencoderKLWan", base_dim=16, z_dim=16,
                 dim_mult=[1, 2, 4, 4], num_res_blocks=1, attn_scales=[],
                 temperal_downsample=[False, True, True], dropout=0.0,
                 is_residual=False, in_channels=3, out_channels=3, patch_size=None,
                 scale_factor_spatial=8, scale_factor_temporal=4)
AUDIO_VAE = dict(_class_name="DAC", encoder_dim=8, encoder_rates=[2, 3, 4, 5, 8],
                 latent_dim=16, decoder_dim=192, decoder_rates=[8, 5, 4, 3, 2],
                 sample_rate=48000, continuous=True, use_weight_norm=False)
TEXT_ENCODER = dict(architectures=["UMT5EncoderModel"], model_type="umt5", d_model=64,
                    d_kv=16, num_heads=4, d_ff=160, num_layers=2,
                    relative_attention_num_buckets=32,
                    relative_attention_max_distance=128,
                    feed_forward_proj="gated-gelu", dense_act_fn="gelu_new",
                    is_gated_act=True, layer_norm_epsilon=1e-6, dropout_rate=0.0,
                    pad_token_id=0, eos_token_id=1, tie_word_embeddings=False,
                    is_encoder_decoder=False, use_cache=False)
TOWER = dict(text_dim=64, freq_dim=64, eps=1e-6, has_image_input=False,
             has_image_pos_emb=False, has_ref_conv=False, add_control_adapter=False,
             in_dim_control_adapter=24, seperated_timestep=False,
             require_vae_embedding=True, require_clip_embedding=False,
             fuse_vae_embedding_in_latents=False)
VIDEO_DIT = dict(_class_name="WanModel", dim=144, in_dim=36, ffn_dim=368, out_dim=16,
                 patch_size=[1, 2, 2], num_heads=3, num_layers=6, **TOWER)
AUDIO_DIT = dict(_class_name="WanAudioModel", dim=96, in_dim=16, ffn_dim=256, out_dim=16,
                 patch_size=[1], num_heads=2, num_layers=6, vae_type="dac", **TOWER)
BRIDGE = dict(_class_name="DualTowerConditionalBridge", visual_layers=6, audio_layers=6,
              visual_hidden_dim=144, audio_hidden_dim=96, audio_fps=50.0, head_dim=48,
              interaction_strategy="full", apply_cross_rope=True,
              apply_first_frame_bias_in_rope=False, trainable_condition_scale=False,
              pooled_adaln=False)

# `batch` is that of the towers, of each process.
CPU = dict(processes=2, threads=1, clips=2000, blanks=600, batch=8, device="cpu")
GPU = dict(processes=1, threads=8, clips=12000, blanks=3600, batch=256, device="cuda")
PRESETS = {"cpu": CPU, "gpu": GPU}

# Of the hours: for a new model, for one that goes on from an exported one, and for
# one that goes on with its video encoder free; the rest goes to the cached latents.
SHARES = {"new": dict(video_vae=0.25, audio_vae=0.075, towers=0.58),
          "init": dict(video_vae=0.02, audio_vae=0.02, towers=0.86),
          "free": dict(video_vae=0.32, audio_vae=0.02, towers=0.64)}
