"""Runs in a process of its own: turns a pickled state dict into safetensors, tensors only.

    python -I quarantine.py IN OUT

It prints one JSON object: `{"tensors": n}`, or `{"problem": ...}` in words of its own.
"""

from __future__ import annotations

import json
import sys
from typing import Any


def main(source: str, target: str) -> dict[str, Any]:
    """Write the tensors of `source` to `target`, or say why not."""
    import torch
    from safetensors.torch import save_file

    # Without this a crafted sparse tensor reads and writes outside its memory even with weights_only.
    torch.sparse.check_sparse_tensor_invariants.enable()
    try:
        found = torch.load(source, map_location="cpu", weights_only=True)
    except Exception:
        return {"problem": "more than tensors, or damaged"}
    for key in ("state_dict", "model_state_dict", "model"):
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            found = found[key]
            break
    if not isinstance(found, dict) or not found:
        return {"problem": f"a {type(found).__name__}, no state dict"}
    plain = {}
    for name, value in found.items():
        if not isinstance(name, str) or not isinstance(value, torch.Tensor):
            return {"problem": "entries that are no tensors"}
        if value.layout is not torch.strided or value.is_quantized or value.is_meta:
            return {"problem": "sparse, quantised or empty tensors"}
        # Clones: safetensors refuses tensors that share memory, which tied weights do.
        plain[name] = value.detach().clone().contiguous()
    save_file(plain, target)
    return {"tensors": len(plain)}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(sys.argv[1], sys.argv[2])))
