"""Turns a quantised GGUF file into a folder of safetensors: ``python convert.py GGUF FOLDER``.

A file to be run by a Python with ``transformers``, ``gguf`` and ``accelerate``, which may be
another than this package's: it imports nothing of it. Weights become bfloat16, tied ones are stored
once.
"""

from __future__ import annotations

import sys
from pathlib import Path

NEEDED = ("torch", "transformers", "gguf", "accelerate")
"""Packages that the conversion imports."""


def convert(source: Path, folder: Path) -> None:
    """Reads the file and writes model, tokenizer and chat template into the folder."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    model = AutoModelForCausalLM.from_pretrained(
        source.parent,
        gguf_file=source.name,
        dtype=torch.bfloat16,
        quantization_config=GgufConfig(dequantize=True),
    )
    model.save_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
    if tokenizer.chat_template is None:
        raise ValueError(f"{source}: holds no chat template")
    tokenizer.save_pretrained(folder)


if __name__ == "__main__":
    convert(Path(sys.argv[1]), Path(sys.argv[2]))
