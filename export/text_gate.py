"""A text model's quality gate: what the graphs say to fixed prompts, held against torch.

The original's greedy answers are fed to each graph: how far its logits lie from the original's, and
after what share of tokens it would have gone on alike. The float bundle must also give the same
text by the device's own code, so template, tokenizer and search are compared too.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from edge_asr.recognizers.text import DECODER, TextModel
from edge_asr.sessions import Session, default_threads, tensor
from export.errors import QualityError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edge_asr.bundle import Bundle
    from export.order import Order
    from export.recipe import QualityLimits

    Array = np.ndarray[Any, np.dtype[np.float32]]

MAX_TOKENS = 32
PROMPTS = (
    ("", "Add punctuation and capital letters: the pump is leaking again please call the fitter"),
    ("Answer in one sentence.", "Why does a bearing get hot?"),
    ("", "Translate into French: good morning everyone"),
    ("You correct transcripts.", "so um we we stopped line 4 at 10.30\n\nand then line 12"),
)
"""System's and user's words."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What the original answered to one prompt."""

    token_ids: list[int]
    """The prompt's and the answer's."""
    n_prompt: int
    logits: Array
    """After the prompt and after each token of the answer but the last, ``(n, vocab_size)``."""
    text: str


@dataclass(frozen=True, slots=True)
class TextParity:
    """How far a graph lies from the original, over all prompts."""

    logits: float
    """Largest absolute difference."""
    tokens: float
    """Share of tokens after which it goes on alike."""
    texts: float
    """Share of prompts whose answer is the original's, to the letter."""


def pass_text_gate(order: Order, checkpoint: Path, candidates: dict[str, Bundle]) -> dict[str, Any]:
    """Hold bundles against the original and return the quality report.

    Args:
        order: what is being built.
        checkpoint: the original, a Transformers checkpoint.
        candidates: the bundles ``float`` and, if there is one, ``quantized``.

    Raises:
        QualityError: a limit of the recipe is missed.
    """
    with order.reporter.step("hear the original, in torch"):
        answered = ask_original(checkpoint)
    parity: dict[str, TextParity] = {}
    for name, bundle in candidates.items():
        with order.reporter.step(f"compare the {name} graph"):
            parity[name] = measure_text_parity(bundle, answered)
    order.reporter.say(
        "  "
        + "; ".join(
            f"{name} graph: logits within {found.logits:.2g}, {found.tokens:.0%} of tokens and "
            f"{found.texts:.0%} of texts alike"
            for name, found in parity.items()
        )
    )
    _check(parity, order.recipe.quality)
    return {
        "n_prompts": len(answered),
        "parity": {name: asdict(found) for name, found in parity.items()},
        "limits": msgspec.to_builtins(order.recipe.quality),
    }


def ask_original(checkpoint: Path) -> list[Answered]:
    """Return what Transformers answers to the prompts, greedily, in float32."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.set_num_threads(default_threads())
    tokenizer = AutoTokenizer.from_pretrained(checkpoint, local_files_only=True)
    model = AutoModelForCausalLM.from_pretrained(
        checkpoint, dtype=torch.float32, local_files_only=True
    ).eval()
    answered = []
    for system, user in PROMPTS:
        turns = [{"role": "system", "content": system}] if system else []
        turns.append({"role": "user", "content": user})
        prompt = tokenizer.apply_chat_template(
            turns, add_generation_prompt=True, return_tensors="pt"
        )
        with torch.inference_mode():
            found = model.generate(
                prompt,
                attention_mask=torch.ones_like(prompt),
                do_sample=False,
                max_new_tokens=MAX_TOKENS,
                pad_token_id=0,
            )
            logits = model(found[:, :-1]).logits[0, prompt.shape[1] - 1 :]
        answer = found[0, prompt.shape[1] :]
        text = tokenizer.decode(answer, skip_special_tokens=True).strip()
        answered.append(Answered(found[0].tolist(), prompt.shape[1], logits.numpy(), text))
    return answered


def measure_text_parity(bundle: Bundle, answered: Sequence[Answered]) -> TextParity:
    """Hold one bundle against the original's answers."""
    session = Session(bundle.path(DECODER), n_threads=default_threads())
    difference, n_alike, n_tokens = 0.0, 0, 0
    for each in answered:
        logits = _forced_logits(session, bundle.manifest.model, each.token_ids[:-1])
        logits = logits[each.n_prompt - 1 :]
        difference = max(difference, float(np.abs(logits - each.logits).max()))
        n_alike += int((logits.argmax(axis=1) == each.logits.argmax(axis=1)).sum())
        n_tokens += len(logits)
    del session
    model = TextModel(bundle, n_threads=default_threads())
    texts = [
        model.complete(user, system=system, max_tokens=MAX_TOKENS).text == each.text
        for (system, user), each in zip(PROMPTS, answered, strict=True)
    ]
    return TextParity(difference, n_alike / n_tokens, sum(texts) / len(texts))


def _forced_logits(session: Session, model: dict[str, Any], token_ids: Sequence[int]) -> Array:
    n_tokens = len(token_ids)
    empty = tensor(np.zeros((1, model["n_kv_heads"], 0, model["head_dim"]), dtype=np.float32))
    inputs = {
        "input_ids": tensor(np.array([token_ids], dtype=np.int64)),
        "attention_mask": tensor(np.ones((1, n_tokens), dtype=np.int64)),
        "position_ids": tensor(np.arange(n_tokens, dtype=np.int64)[np.newaxis]),
    }
    given = {name: inputs.get(name, empty) for name in session.input_names}
    logits: Array = session.run(given, ["logits"])["logits"].numpy()[0]
    return logits


def _check(parity: dict[str, TextParity], limits: QualityLimits) -> None:
    exact = parity["float"]
    missed = []
    if not exact.logits <= limits.logit_difference:
        missed.append(
            f"the float graph's logits differ by {exact.logits:.4g}, more than "
            f"{limits.logit_difference:g}"
        )
    if exact.texts < limits.float_text_identical:
        missed.append(
            f"{exact.texts:.0%} of the float graph's texts are the original's, less than "
            f"{limits.float_text_identical:.0%}"
        )
    if "quantized" in parity and parity["quantized"].tokens < limits.quantized_tokens:
        missed.append(
            f"the quantized graph goes on as the original does after "
            f"{parity['quantized'].tokens:.1%} of tokens, less than {limits.quantized_tokens:.1%}"
        )
    if missed:
        raise QualityError(
            "the quality gate refuses the bundle, nothing was written: " + "; ".join(missed)
        )
