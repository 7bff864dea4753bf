"""What every row is told: device, threads, how long, and which settings of peers were found best."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import measure
from bench.row import DEFAULT, OURS, TUNED

ROOT = Path(__file__).parents[1]


@dataclass(eq=False)
class Setup:
    """`chosen` holds settings found by trying, so that a fresh process need not try again."""

    device: str = "cpu"
    threads: int = 1
    quick: bool = False
    chosen: dict[str, Any] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        return {"device": self.device, "threads": self.threads, "quick": self.quick, "chosen": self.chosen}

    def environment(self) -> dict[str, str]:
        """For child processes: the same threads, no network, the package of this checkout."""
        path = os.pathsep.join(p for p in (str(ROOT), os.environ.get("PYTHONPATH", "")) if p)
        return {**os.environ, "OMP_NUM_THREADS": str(self.threads), "MKL_NUM_THREADS": str(self.threads),
                "HF_HUB_OFFLINE": "1", "PYTHONPATH": path, "TQDM_DISABLE": "1"}

    def apply(self) -> None:
        """Set this process up: threads, quiet, and a torchvision that can be imported."""
        import warnings

        import torch

        torch.set_num_threads(self.threads)
        torch.manual_seed(0)
        warnings.simplefilter("ignore")
        sys.path.append(str(ROOT / "tests"))
        import torchvision_repair  # pyright: ignore[reportMissingImports]

        torchvision_repair.repair()

    def warm(self) -> None:
        """Load the code paths that any call loads, so that their pages count for nobody."""
        import torch

        import pellucid

        net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Flatten(), torch.nn.Linear(144, 2)).to(self.device)
        pellucid.explain(net, torch.randn(1, 3, 8, 8, device=self.device), "saliency")
        x = torch.randn(2, 3, 8, 8, device=self.device, requires_grad=True)
        net(x).sum().backward()

    def best(self, name: str, candidates: Mapping[Any, Callable[[], Any]]) -> Any:
        """The candidate setting with the shortest time; found once per row."""
        if self.quick:
            candidates = dict(list(candidates.items())[1:3])
        if name not in self.chosen:
            self.chosen[name] = measure.fastest(candidates, measure.clock_of(self.device))
        return self.chosen[name]

    def ours(self, model: Any, x: Any, method: Any, default: bool = False, **options: Any
             ) -> dict[str, Callable[[], Any]]:
        """Our sides: the exact one, and where `explain` knows `precision` the tuned or the default one."""
        import torch

        import pellucid

        def values(**precision: str) -> Any:
            found = pellucid.explain(model, x, method, **options, **precision)
            many = found if isinstance(found, list) else [found]
            return torch.stack([e.values if e.elements is None else e.elements for e in many])

        if not has_precision():
            return {OURS: values}
        other = {DEFAULT: values} if default else {TUNED: lambda: values(precision="fast")}
        return {OURS: lambda: values(precision="exact"), **other}


def has_precision() -> bool:
    """Whether `explain` takes `precision`."""
    import pellucid

    return "precision" in inspect.signature(pellucid.explain).parameters
