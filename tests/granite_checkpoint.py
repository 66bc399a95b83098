"""A tiny Granite Speech with random weights: Transformers' own model class, saved as a checkpoint.

Everything that the real one has is there, only small: block attention with relative positions, the
CTC head that is fed back after half of the layers, the projector, grouped keys, the four
multipliers, an untied head, a byte-level tokenizer whose special tokens have Granite's names.
"""

from pathlib import Path

CONTEXT_FRAMES = 200
"""Frames of one attention block, as in the real model."""
N_CTC_LABELS = 348
HIDDEN_SIZE = 64
N_LAYERS = 2
N_KV_HEADS = 2
HEAD_DIM = 16
SPECIAL = ("<|pad|>", "<|end_of_text|>", "<|start_of_role|>", "<|end_of_role|>", "<|audio|>")
TEXTS = (
    "USER: can you transcribe the speech into a written format?\n ASSISTANT:",
    "USER: translate the speech to French.\n ASSISTANT: the cat sat on the mat. Keywords: one, two",
    "transcribe the speech with proper punctuation and capitalization.",
)
"""What the tokenizer's merges are learnt from."""


def write_tokenizer(path):
    """Write a byte-level BPE tokenizer with a few merges and Granite's special tokens."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    tokenizer.add_special_tokens([AddedToken(content, special=True) for content in SPECIAL])
    tokenizer.save(str(path))
    return tokenizer


def tiny_config(tokenizer, *, n_ctc_labels=N_CTC_LABELS, tied=False):
    """Return the configuration of the tiny model."""
    from transformers import GraniteSpeechConfig

    return GraniteSpeechConfig(
        audio_token_index=tokenizer.token_to_id("<|audio|>"),
        has_lora_adapter=False,
        text_config={
            "model_type": "granite",
            "vocab_size": tokenizer.get_vocab_size(),
            "hidden_size": HIDDEN_SIZE,
            "intermediate_size": 96,
            "num_hidden_layers": N_LAYERS,
            "num_attention_heads": 4,
            "num_key_value_heads": N_KV_HEADS,
            "max_position_embeddings": 4096,
            "rms_norm_eps": 1e-5,
            "embedding_multiplier": 12.0,
            "logits_scaling": 8.0,
            "residual_multiplier": 0.22,
            "attention_multiplier": 1 / HEAD_DIM,
            "tie_word_embeddings": tied,
            "bos_token_id": tokenizer.token_to_id("<|end_of_text|>"),
            "eos_token_id": tokenizer.token_to_id("<|end_of_text|>"),
            "pad_token_id": tokenizer.token_to_id("<|pad|>"),
        },
        encoder_config={
            "input_dim": 160,
            "num_layers": 2,
            "hidden_dim": 48,
            "feedforward_mult": 2,
            "num_heads": 3,
            "dim_head": 16,
            "output_dim": n_ctc_labels,
            "context_size": CONTEXT_FRAMES,
            "max_pos_emb": 512,
            "conv_kernel_size": 15,
            "conv_expansion_factor": 2,
        },
        projector_config={
            "model_type": "blip_2_qformer",
            "hidden_size": 48,
            "encoder_hidden_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "intermediate_size": 80,
            "cross_attention_frequency": 1,
            "use_qformer_text_input": False,
            "layer_norm_eps": 1e-12,
        },
    )


def write_granite_checkpoint(
    folder, *, dtype="float32", seed=7, max_shard_size="5GB", n_ctc_labels=N_CTC_LABELS, tied=False
):
    """Write the tiny model to ``folder`` and return the folder.

    Args:
        folder: an existing folder.
        dtype: of the weights: ``float32``, ``bfloat16`` or ``float16``.
        seed: of the weights.
        max_shard_size: smaller values, such as ``"100KB"``, make several safetensors files.
        n_ctc_labels: 256 have no katakana.
        tied: whether the head is the embedding.
    """
    import torch
    from transformers import GenerationConfig, GraniteSpeechForConditionalGeneration

    tokenizer = write_tokenizer(folder / "tokenizer.json")
    random = torch.Generator().manual_seed(seed)
    model = GraniteSpeechForConditionalGeneration(
        tiny_config(tokenizer, n_ctc_labels=n_ctc_labels, tied=tied)
    ).eval()
    with torch.no_grad():
        for name, weight in [*model.named_parameters(), *model.named_buffers()]:
            if weight.is_floating_point() and "inv_freq" not in name:
                weight.copy_(_random_weight(name, weight, random))
    text = model.config.text_config
    model.generation_config = GenerationConfig(
        bos_token_id=text.bos_token_id,
        eos_token_id=text.eos_token_id,
        pad_token_id=text.pad_token_id,
    )
    model.to(getattr(torch, dtype)).save_pretrained(folder, max_shard_size=max_shard_size)
    return folder


def adapt_granite_checkpoint(folder, *, rank=4, alpha=12, seed=11):
    """Give a checkpoint a LoRA adapter with random weights, as PEFT saves it; return the folder.

    Like that of Granite Speech 3.3, only smaller: on queries and values of the language model.
    """
    import torch
    from peft import LoraConfig
    from transformers import GraniteSpeechForConditionalGeneration

    folder = str(folder)  # it is written into the adapter's config
    model = GraniteSpeechForConditionalGeneration.from_pretrained(folder)
    model.config.has_lora_adapter = True
    targets = ["q_proj", "v_proj"]
    model.add_adapter(LoraConfig(r=rank, lora_alpha=alpha, target_modules=targets))
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_" in name:
                weight.copy_(torch.randn(weight.shape, generator=random) / 2)
    model.save_pretrained(folder)
    return Path(folder)


def _random_weight(name, weight, random):
    """Return weights under which every part of the model shows in what comes out."""
    import torch

    noise = torch.randn(weight.shape, generator=random)
    if name.endswith("running_var"):
        return 0.5 + noise.abs()
    if weight.ndim == 1:
        is_scale = "norm" in name.lower() and name.endswith("weight")
        return (1.0 if is_scale else 0.0) + 0.2 * noise
    if name.endswith("embed_tokens.weight"):
        return noise / 12
    if name.endswith("lm_head.weight"):
        return noise * 2  # logits far enough apart that their order survives rounding
    if name.endswith(("rel_pos_emb.weight", "projector.query")):
        return noise
    scaled = noise / weight[0].numel() ** 0.5
    return scaled / 12 if name.endswith("projector.linear.weight") else scaled
