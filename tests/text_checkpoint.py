"""A tiny text model with random weights: Transformers' own class, saved as a checkpoint."""

CHATML = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou help.<|im_end|>\n' }}{% endif %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""SmolLM2's."""
GRANITE = (
    "{%- if messages[0]['role'] == 'system' %}{%- set words = messages[0]['content'] %}"
    "{%- set turns = messages[1:] %}{%- else %}"
    '{%- set words = "Today\'s Date: " + strftime_now(\'%B %d, %Y\') + ". You are Granite." %}'
    "{%- set turns = messages %}{%- endif %}"
    "{{- '<|start_of_role|>system<|end_of_role|>' + words + '<|end_of_text|>\n' }}"
    "{%- for turn in turns %}"
    "{{- '<|start_of_role|>' + turn['role'] + '<|end_of_role|>' + turn['content']"
    " + '<|end_of_text|>\n' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|start_of_role|>assistant<|end_of_role|>' }}{%- endif %}"
)
"""As Granite 3.3's: without a system turn, it tells the model the date."""
SPECIAL = (
    *("<|pad|>", "<|im_start|>", "<|im_end|>", "<|start_of_role|>", "<|end_of_role|>"),
    "<|end_of_text|>",
)
TEXTS = ("the pump is leaking again please call the fitter", "add punctuation and capital letters")


def write_tokenizer(folder, template=CHATML, end="<|im_end|>"):
    """Write and return a byte-level tokenizer with a chat template."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    backend.train_from_iterator(TEXTS, trainer)
    backend.add_special_tokens([AddedToken(each, special=True) for each in SPECIAL])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token=end, chat_template=template, pad_token=SPECIAL[0]
    )
    tokenizer.save_pretrained(folder)
    return tokenizer


def write_text_checkpoint(folder, kind="llama"):
    """Write a tiny model (``llama`` or ``granite``) to ``folder`` and return the folder."""
    import torch
    from transformers import GraniteConfig, GraniteForCausalLM, LlamaConfig, LlamaForCausalLM

    template, end = (GRANITE, "<|end_of_text|>") if kind == "granite" else (CHATML, "<|im_end|>")
    tokenizer = write_tokenizer(folder, template, end)
    sizes = {
        "vocab_size": len(tokenizer),
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 1024,
        "eos_token_id": tokenizer.eos_token_id,
        "bos_token_id": None,
        "pad_token_id": tokenizer.pad_token_id,
    }
    torch.manual_seed(3)
    if kind == "granite":
        multipliers = {"embedding_multiplier": 12.0, "logits_scaling": 8.0}
        residual = {"residual_multiplier": 0.22, "attention_multiplier": 0.0625}
        config = GraniteConfig(**sizes, **multipliers, **residual, tie_word_embeddings=True)
        model = GraniteForCausalLM(config)
    else:
        model = LlamaForCausalLM(LlamaConfig(**sizes, tie_word_embeddings=False))
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.copy_(torch.randn(weight.shape) / weight.shape[1] ** 0.5)
    model.get_output_embeddings().weight.data *= 3
    model.save_pretrained(folder)
    return folder
