"""The long soak: `make soak`, or `python tests/soak.py 500`. Prints what memory did and fails where it grew."""

from __future__ import annotations

import sys

import torch

from pellucid.testing.soak import soak

if __name__ == "__main__":
    torch.set_num_threads(1)
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    seen = soak(count)
    for k, (bytes_, tensors) in enumerate(zip(seen.resident, seen.tensors, strict=True)):
        sys.stdout.write(f"{10 * (k + 1):6} explanations  {bytes_ / 2**20:8.1f} MiB resident  {tensors:6} tensors\n")
    bytes_, tensors = seen.grown()
    sys.stdout.write(f"grown in the last third: {bytes_ / 2**20:.1f} MiB, {tensors} tensors\n")
    seen.check()
