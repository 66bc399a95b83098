"""One order -> one bundle, unless it is there already."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edge_asr.bundle import open_bundle
from edge_asr.errors import BundleError
from export import silero, voice
from export.errors import RecipeError
from export.gate import speech_id
from export.steps import code_sha256, digest, versions

if TYPE_CHECKING:
    from export.order import Order


def build(order: Order) -> None:
    """Build the bundle that ``order`` asks for.

    Raises:
        ExportError: it cannot be built, or the quality gate refuses it.
    """
    if order.weights.notice:
        order.reporter.say(f"  {order.weights.notice}")
    provenance = _provenance(order)
    if _is_there(order, provenance):
        order.reporter.say(f"{order.target}: unchanged")
        return
    if order.recipe.family == silero.FAMILY:
        silero.build_silero(order, provenance)
    elif order.recipe.family == voice.FAMILY:
        voice.build_voice(order, provenance)
    elif order.recipe.family == "whisper":
        from export.whisper import build_whisper

        build_whisper(order, provenance)
    elif order.recipe.family == "granite":
        from export.granite import build_granite

        build_granite(order, provenance)
    elif order.recipe.family == "text":
        from export.text import build_text

        build_text(order, provenance)
    else:
        raise RecipeError(
            f"recipe {order.recipe.name}: unknown family {order.recipe.family}; "
            "there are: whisper, granite, text, silero-vad, voice-encoder",
        )
    order.reporter.say(f"{order.target}: written")


def _provenance(order: Order) -> dict[str, Any]:
    """Return what the manifest says of how the bundle was made."""
    made_with = versions()
    code = code_sha256(order.recipe.family.partition("-")[0])
    adapter = order.adapter and order.adapter.sha256
    parts = (order.recipe, order.weights.key, adapter, order.quantization, code, made_with)
    return {"key": digest(*parts), "versions": made_with}


def _is_there(order: Order, provenance: dict[str, Any]) -> bool:
    """Return whether the bundle is there, intact, and made from the same things."""
    try:
        bundle = open_bundle(order.target)
    except BundleError:
        return False
    if bundle.manifest.export.get("key") != provenance["key"]:
        return False
    # A bundle that was held against more speech than is named now need not be built again.
    heard = bundle.manifest.quality.items()
    return (
        order.recipe.family in (silero.FAMILY, voice.FAMILY, "text")
        or speech_id(order).items() <= heard
    )
