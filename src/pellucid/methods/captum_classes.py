"""What captum's classes take and promise, read from their signatures: nothing is imported before it is asked for."""

from __future__ import annotations

import inspect
import sys
import types
import typing
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from pellucid.words.errors import ModelError, OptionError, nearest

PREFIX = "captum:"

PAPERS = {
    "Activation": "", "Conductance": "arXiv:1805.12233", "Deconvolution": "arXiv:1311.2901",
    "DeepLift": "arXiv:1704.02685", "DeepLiftShap": "arXiv:1705.07874", "FeatureAblation": "",
    "GradCam": "arXiv:1610.02391", "Gradient": "arXiv:1312.6034", "GradientShap": "arXiv:1705.07874",
    "GradientXActivation": "arXiv:1605.01713", "GuidedBackprop": "arXiv:1412.6806",
    "GuidedGradCam": "arXiv:1610.02391", "InputXGradient": "arXiv:1605.01713",
    "IntegratedGradients": "arXiv:1703.01365", "InternalInfluence": "arXiv:1802.03788",
    "KernelShap": "arXiv:1705.07874", "LRP": "doi:10.1371/journal.pone.0130140", "Lime": "arXiv:1602.04938",
    "NoiseTunnel": "arXiv:1706.03825", "Occlusion": "arXiv:1311.2901", "Saliency": "arXiv:1312.6034",
    "ShapleyValueSampling": "doi:10.1016/j.cor.2008.04.004", "ShapleyValues": "doi:10.1515/9781400881970-018",
}
"""Where a method comes from, by the name of its class less Layer or Neuron before it."""

NAMES = (
    *(n for n in PAPERS if n not in ("Activation", "Conductance", "GradCam", "Gradient", "GradientXActivation")),
    *("Layer" + n for n in ("Activation", "Conductance", "DeepLift", "DeepLiftShap", "FeatureAblation", "GradCam",
                            "GradientShap", "GradientXActivation", "IntegratedGradients", "LRP")),
    *("Neuron" + n for n in ("Conductance", "Deconvolution", "DeepLift", "DeepLiftShap", "FeatureAblation", "Gradient",
                             "GradientShap", "GuidedBackprop", "IntegratedGradients")),
)
"""The family as the catalogue lists it; any other class of the installed captum is found by its name too."""

SWAPS = ("swaps values among the rows of a batch, and one example has no others", "take our permutation, which draws "
         "from background rows")
WRITES = ("writes a text before it explains one", "explain a score of the model: target=")

UNFIT = {
    "DataLoaderAttribution": ("goes through a data set", "give a list of inputs: each is explained"),
    "FeaturePermutation": SWAPS, "LayerFeaturePermutation": SWAPS, "BaseLLMAttribution": WRITES,
}
"""Classes, with those made from them, that cannot answer for one example and one score: why, and what to do instead."""

FILLED = frozenset({
    "inputs", "baselines", "target", "additional_forward_args", "feature_mask", "neuron_selector", "layer",
    "device_ids", "return_convergence_delta", "return_input_shape", "show_progress", "verbose", "attribution_method"})
"""What is said to captum from the case, or left as it is; all else is an option."""

ROWS = frozenset({"internal_batch_size", "perturbations_per_eval", "nt_samples_batch_size"})
"""How many rows captum puts into a pass: None for as many as fit. Copies with noise come one by one unless asked for
otherwise: the memory of a machine must not decide which numbers are drawn, nor who shares a pass."""

TAKEN = frozenset({"subject", "x", "method", "target", "features", "baseline", "seed", "budget", "chunk", "strict",
                   "precision", "profile", "progress"})
"""What `explain` means by these names; an option that captum calls so has `captum_` before its name."""


def library() -> Any:
    """captum's attribution methods; it is imported when first asked for."""
    try:
        from captum import attr
    except ImportError as error:
        raise OptionError("extra.missing", "no captum", "the package captum", "pip install captum, or choose one of "
                          "our own methods: pellucid methods") from error
    return attr


@dataclass(frozen=True, eq=False)
class Adapted:
    """A class of captum's that explains, with the one that it goes around where it is a NoiseTunnel."""

    kind: type[Any]
    inner: Adapted | None = None

    @cached_property
    def name(self) -> str:
        return PREFIX + self.kind.__name__ + (f"({self.inner.kind.__name__})" if self.inner else "")

    @property
    def innermost(self) -> type[Any]:
        return self.inner.innermost if self.inner else self.kind

    @cached_property
    def settings(self) -> dict[str, inspect.Parameter]:
        """What the constructor takes beside what it works on."""
        mine = list(parameters(self.kind.__init__).values())[1:]
        return {p.name: p for p in mine} | (self.inner.settings if self.inner else {})

    @cached_property
    def asked(self) -> dict[str, inspect.Parameter]:
        """What `attribute` takes."""
        return parameters(self.kind.attribute) | (self.inner.asked if self.inner else {})

    @cached_property
    def options(self) -> dict[str, inspect.Parameter]:
        """captum's own options by our name."""
        both = {**self.settings, **self.asked}
        return {f"captum_{n}" if n in TAKEN else n: p for n, p in both.items() if n not in FILLED}

    @property
    def over_many(self) -> bool:
        """Whether it goes through a set of baselines, rather than from one."""
        found = self.asked.get("baselines")
        return found is not None and found.default is inspect.Parameter.empty

    @cached_property
    def gives(self) -> str:
        """What its values are laid over: a value per feature, per element of x, or per unit of a layer."""
        attr = library()
        if issubclass(self.innermost, attr.LayerAttribution):
            return "units"
        return "features" if issubclass(self.innermost, attr.PerturbationAttribution) else "elements"

    @cached_property
    def sum(self) -> str:
        """What its values promise to sum to: `change` from the baseline's score, the `score`, or nothing."""
        attr, kind = library(), self.kind
        if issubclass(kind, attr.LRP):
            return "score"
        if issubclass(kind, (attr.KernelShap, attr.ShapleyValueSampling, attr.NeuronIntegratedGradients,
                             attr.NeuronDeepLift, attr.NeuronDeepLiftShap, attr.NeuronGradientShap)):
            return "change"
        if issubclass(kind, (attr.LimeBase, attr.NoiseTunnel)):
            return ""
        return "change" if kind.has_convergence_delta is not attr.Attribution.has_convergence_delta else ""

    @cached_property
    def hooks(self) -> tuple[str, ...]:
        """The modules on which it puts rules of its own, by kind; it passes by what is no such module."""
        name = self.innermost.__name__
        if "DeepLift" in name and self.gives != "units":
            known = sys.modules[library().DeepLift.__module__]
            return tuple(k.__name__ for k in getattr(known, "SUPPORTED_NON_LINEAR", {}))
        return ("ReLU",) if any(n in name for n in ("GuidedBackprop", "Deconvolution", "GuidedGradCam")) else ()


@cache
def adapter(kind: type[Any], inner: type[Any] | None) -> Adapted:
    """A class that can answer for one example and one score; a ModelError where it cannot."""
    attr = library()
    for cls in (kind, inner):
        why = None if cls is None else next((UNFIT[c.__name__] for c in cls.__mro__ if c.__name__ in UNFIT), None)
        if cls is not None and not callable(getattr(cls, "attribute", None)):
            why = ("is what methods are made from", "take one of them: pellucid methods")
        if cls is not None and why is not None:
            raise ModelError("method.unfit", f"{PREFIX}{cls.__name__}, which {why[0]}", "a method for one example",
                             why[1])
    around = issubclass(kind, attr.NoiseTunnel)
    if around != (inner is not None) or (inner is not None and issubclass(inner, attr.NoiseTunnel)):
        raise OptionError("foreign.around", f"{PREFIX}{kind.__name__}" + (f"({inner.__name__})" if inner else ""),
                          "a NoiseTunnel around one other method", f"write {PREFIX}NoiseTunnel(Saliency)")
    return Adapted(kind, adapter(inner, None) if inner else None)


def class_of(name: str) -> type[Any]:
    """The class of that name in the installed captum."""
    attr = library()
    found = getattr(attr, name, None)
    if not (isinstance(found, type) and issubclass(found, attr.Attribution)):
        every = [n for n, c in vars(attr).items() if isinstance(c, type) and issubclass(c, attr.Attribution)]
        raise OptionError("foreign.unknown", repr(PREFIX + name), "a method of captum's", nearest(name, every))
    return found


def parameters(fn: Any) -> dict[str, inspect.Parameter]:
    """The named parameters of a method, self left out, with their types as types where they can be had."""
    fn = inspect.unwrap(fn)
    try:
        hints = typing.get_type_hints(fn)
    except Exception:  # a type that exists for checkers only
        hints = {}
    mine = [p for p in inspect.signature(fn).parameters.values() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    return {p.name: p.replace(annotation=hints.get(p.name, p.annotation)) for p in mine[1:]}


def kind_of(annotation: Any) -> str:
    """A type as the catalogue and the shell write it: numbers, text and tuples; Any for all else."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return " | ".join(dict.fromkeys(kind_of(a) for a in typing.get_args(annotation)))
    if annotation is type(None):
        return "None"
    if typing.get_origin(annotation) is tuple:
        return "tuple[int, ...]"
    return annotation.__name__ if annotation in (int, float, bool, str) else "Any"
