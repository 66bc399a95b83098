"""``python -m benchmarks.whisper.onnx_asr_weights CHECKPOINT FOLDER``: a model for onnx-asr.

onnx-asr hears what Optimum exports without any change, quantized by ONNX Runtime's own tool:
dynamic int8, a scale for each output channel. In a process of its own, because torch takes much
memory.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tokenizers import Tokenizer

GRAPHS = ("encoder_model", "decoder_model_merged")


def main(checkpoint: Path, folder: Path) -> None:
    """Export, quantize, and write the vocabulary as onnx-asr reads it."""
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from optimum.exporters.onnx import main_export

    folder.mkdir(parents=True, exist_ok=True)
    main_export(
        str(checkpoint),
        folder,
        task="automatic-speech-recognition-with-past",
        library_name="transformers",
        dtype="fp32",
        do_validation=False,
        local_files_only=True,
    )
    for name in GRAPHS:
        quantize_dynamic(
            folder / f"{name}.onnx",
            folder / f"{name}_int8.onnx",
            op_types_to_quantize=["MatMul"],
            per_channel=True,
            weight_type=QuantType.QInt8,
            extra_options={"MatMulConstBOnly": True},
        )
        (folder / f"{name}.onnx").unlink()
    for leftover in folder.glob("decoder_*model.onnx*"):
        leftover.unlink()
    vocab = Tokenizer.from_file(str(checkpoint / "tokenizer.json")).get_vocab()
    (folder / "vocab.json").write_text(json.dumps(vocab), encoding="utf-8")
    (folder / "added_tokens.json").write_text("{}", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
