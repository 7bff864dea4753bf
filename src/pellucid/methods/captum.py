"""captum's methods by the name `captum:CLASS`: on a shadow, one example at a time, judged by our own scores."""

from __future__ import annotations

import copy
import sys
from collections.abc import Mapping, Sequence
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, nn

from pellucid.methods.captum_classes import FILLED, PAPERS, PREFIX, ROWS, Adapted, adapter, class_of, kind_of, library
from pellucid.numbers.estimate import Estimate
from pellucid.numbers.statistics import Welford
from pellucid.words.ask import Scoring
from pellucid.words.case import Case
from pellucid.words.errors import ModelError, OptionError
from pellucid.words.features import Features, units
from pellucid.words.method import AUTO, Card, Law, Method
from pellucid.words.site import Site
from pellucid.words.target import Neuron

COUNTS = ROWS | {"n_steps", "n_samples", "nt_samples"}

ABOUT = """captum's {}, run on a copy of the model and judged by our own scores.

Inputs, baseline, target, features and the other inputs of the model are the case's; every other option is captum's
own, with its default. `layer` is a module's name, `neuron` a unit of it. Values that captum writes on every element
of a feature are counted once."""


_COSTS = {"ShapleyValues": "n · n! rows", "Occlusion": "one row for each place of the window"}


def named(text: str) -> Method:
    """The method of `captum:DeepLift` or `captum:NoiseTunnel(DeepLift)`."""
    outer, _, within = text.strip().removeprefix(PREFIX).partition("(")
    inner = within.removesuffix(")").strip()
    return _plain(class_of(outer.strip()), class_of(inner) if inner else None)


def given(thing: Any, model: nn.Module | None) -> Method | None:
    """The method of a class or an object of captum's; None for anything else. An object must be about `model`."""
    attr = sys.modules.get("captum.attr")
    if attr is None:  # who has such a thing has imported it
        return None
    if isinstance(thing, type) and issubclass(thing, attr.Attribution):
        return _plain(thing, None)
    return _bound(thing, model) if isinstance(thing, attr.Attribution) else None


@cache
def _plain(kind: type[Any], inner: type[Any] | None) -> Method:
    return _method(adapter(kind, inner), {})


def _method(adapted: Adapted, settings: Mapping[str, Any]) -> Method:
    """A class as a method; `settings` stand where its own defaults were."""
    defaults: dict[str, Any] = {}
    kinds: dict[str, str] = {}
    for name, usual, kind, there in (
        ("layer", AUTO, "str", "layer" in adapted.settings),
        ("neuron", None, "int | tuple[int, ...]", "neuron_selector" in adapted.asked),
        ("baselines", (), "Sequence[Any]", adapted.over_many),
    ):
        if there:
            defaults[name], kinds[name] = usual, kind
    for name, p in adapted.options.items():
        defaults[name] = None if name in ROWS or p.default is p.empty else p.default
        kinds[name] = "int | None" if name in ROWS else kind_of(p.annotation)
    card = Card(
        "foreign", PAPERS.get(adapted.innermost.__name__.removeprefix("Layer").removeprefix("Neuron"), ""),
        (Law.COMPLETE,) if adapted.sum == "change" else (), adapted.gives, "feature_mask" in adapted.asked,
        "baselines" in adapted.asked, formula=f"captum.attr.{adapted.name.removeprefix(PREFIX)}",
        cost=next((f"{n} rows" for n in ("nt_samples", "n_steps", "n_samples") if n in defaults), _COSTS.get(
            adapted.kind.__name__, "a row per feature" if "perturbations_per_eval" in defaults else "1 or 2 rows")),
        use="what only captum has, or to compare with its numbers",
        avoid="what one of our own methods says: they share passes and tell their error", hooks=adapted.hooks)
    return Method(adapted.name, partial(_asked, adapted), card, ABOUT.format(adapted.name.removeprefix(PREFIX)),
                  {**defaults, **settings}, kinds, partial(_towards, adapted))


def _bound(thing: Any, model: nn.Module | None) -> Method:
    """The method of an object: its class, with its settings; what it was made for must be the model at hand."""
    around = isinstance(thing, library().NoiseTunnel)
    about = thing.attribution_method if around else thing
    adapted = adapter(type(thing), type(about) if around else None)
    func, name = getattr(about, "forward_func", None), type(about).__name__
    if model is None or not any(f is model for f in (func, *(getattr(func, n, None) for n in ("_orig_mod", "module")))):
        raise OptionError("foreign.unbound", f"a {name} made for {_called(func)}", "one made for the explained model",
                          f"give the class, captum.attr.{name}, and with target= what is chosen of the output")
    settings: dict[str, Any] = {}
    for setting in adapted.settings:
        if setting == "layer":
            names = [n for n, m in model.named_modules() if m is about.layer]
            if not names:
                raise OptionError("foreign.unbound", f"a {name} at {_called(about.layer)}",
                                  "one module of the explained model", f"give captum.attr.{name}, and layer= by name")
            settings["layer"] = names[0]
        elif setting not in FILLED:
            spelled = (setting, f"_{setting}", setting.replace("multiply", "multiplies"))
            known = [getattr(about, s) for s in spelled if hasattr(about, s)]
            if not known:
                raise OptionError("foreign.unbound", f"a {name} that does not keep its {setting}", "its settings as "
                                  "attributes", f"give the class, and {setting}= as an option")
            settings[setting] = known[0]
    return _method(adapted, settings)


def _called(thing: Any) -> str:
    return getattr(thing, "__qualname__", None) or f"a {type(thing).__name__}"


def _towards(adapted: Adapted, case: Case, options: Mapping[str, Any]) -> Case:
    """A neuron is a target, unless the method asks how the score depends on the input through it."""
    if "neuron_selector" not in adapted.asked:
        return case
    unit = _unit(options["neuron"])
    return case if "target" in adapted.asked else case.towards(Neuron(Site.parse(options["layer"]), unit))


def _unit(written: Any) -> tuple[int, ...]:
    index = tuple(written) if isinstance(written, tuple | list) else (written,)
    if not index or not all(isinstance(i, int) and not isinstance(i, bool) for i in index):
        raise OptionError("option.missing" if written is None else "option.value", f"neuron={written!r}",
                          "a unit of the layer: a whole number per axis", "write neuron=3 or neuron=(2, 0, 1)")
    return index


async def _asked(adapted: Adapted, case: Case, **options: Any) -> Any:
    return await case.foreign(partial(_answered, adapted, case, options))


def _answered(adapted: Adapted, case: Case, options: Mapping[str, Any], score: Scoring) -> Estimate:
    """Make captum's object around the score, let it speak, and lay out what it says."""
    said = {p.name: _typed(options[name], kind_of(p.annotation)) for name, p in adapted.options.items()}
    for name, p in adapted.options.items():
        if p.default is p.empty and said[p.name] is None:
            raise OptionError("option.missing", f"{adapted.name} without {name}", f"a value for {name}",
                              f"give {name}=")
    for name in COUNTS & set(adapted.asked):
        if said[name] is not None:
            _positive(name, said[name])
    layer = options.get("layer")
    made, call = _made(adapted, score, said, layer), _call(adapted, case, score, said, options)

    graded = issubclass(adapted.innermost, library().GradientAttribution)  # captum hooks layers before one that it asks

    def ask(**more: Any) -> Tensor:
        found = made.attribute(case.x[None].clone().requires_grad_(graded), **{**call, **more})
        return _laid(adapted, case, _tensor(found, layer))

    mean, spread = Welford(), Welford()
    many = torch.stack(case.alternatives or (case.baseline.expand_as(case.x),) * 2) if adapted.over_many else None
    if many is None or adapted.inner is not None:
        mean.add(ask(**({} if many is None else {"baselines": many})))
    elif "n_samples" in adapted.asked:
        # A pass for each draw, so that neither memory nor what is drawn depends on how many fit.
        for _ in range(said["n_samples"]):
            value = ask(baselines=many, n_samples=1)
            mean.add(value)
            spread.add(case.features.gather(value) if adapted.gives == "elements" else value)
    else:
        # captum wants several; of rows that stand in one pass it mixes up some rules, so each stands beside itself.
        for baseline in many:
            mean.add(ask(baselines=torch.stack([baseline, baseline])))
    assert mean.mean is not None
    return _told(adapted, mean.mean.to(case.origin.dtype), said, spread)


def _made(adapted: Adapted, score: Scoring, said: Mapping[str, Any], layer: Any) -> Any:
    if adapted.inner is not None:
        return adapted.kind(_made(adapted.inner, score, said, layer))
    settings = {n: copy.deepcopy(said[n]) for n in adapted.settings if n in said}  # a surrogate is fitted
    if "layer" in adapted.settings:
        settings["layer"] = score.layer(layer)
    if issubclass(adapted.kind, library().LRP) or not adapted.kind.__module__.startswith("captum."):
        score.own()  # LRP writes weights back, and nobody knows what a stranger writes
    return adapted.kind(score, **settings)


def _call(adapted: Adapted, case: Case, score: Scoring, said: Mapping[str, Any], options: Mapping[str, Any]
          ) -> dict[str, Any]:
    """The arguments of `attribute`, but for inputs and sets of baselines."""
    asked = adapted.asked
    call = {n: said[n] for n in asked if n in said}
    if "baselines" in asked and not adapted.over_many:
        call["baselines"] = case.baseline.expand_as(case.x)[None].clone()
    if "feature_mask" in asked:
        call["feature_mask"] = _numbered(case.features, case.x.dim())[None].to(case.x.device)
    if "neuron_selector" in asked:
        unit = _unit(options["neuron"])
        call["neuron_selector"] = unit[0] if len(unit) == 1 else unit
    if "return_input_shape" in asked and adapted.inner is None:
        call["return_input_shape"] = False
    for name in [n for n in ROWS & set(asked) if call[n] is None]:
        if name == "nt_samples_batch_size":
            call[name] = 1
            continue
        # captum keeps a copy of x for every row that it may put into a pass: no more than there can be.
        wanted = call["n_steps"] if "n_steps" in call else max(call.get("n_samples", 0), case.features.n)
        bound = wanted if {"n_steps", "feature_mask"} & set(asked) else sys.maxsize
        call[name] = min(score.most(graded=name == "internal_batch_size"), bound)
    return call


def _positive(name: str, value: Any) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise OptionError("option.value", f"{name}={value!r}", "a whole number from 1", f"write for example {name}=8")


def _typed(value: Any, kind: str) -> Any:
    """A recipe from a file has lists where captum wants tuples, and people write 1 where it wants 1.0."""
    if isinstance(value, list):
        return tuple(_typed(v, kind) for v in value)
    whole, parts = isinstance(value, int) and not isinstance(value, bool), kind.split(" | ")
    return float(value) if whole and "float" in parts and "int" not in parts else value


def _numbered(features: Features, rank: int) -> Tensor:
    """Each element's feature over the axes of x; what is never switched off equals the baseline, so any will do."""
    shape = [1] * rank
    for axis, size in zip(features.axes, features.index.shape, strict=True):
        shape[axis % rank] = size
    return features.index.clamp(min=0).reshape(shape)


def _tensor(found: Any, layer: str | None) -> Tensor:
    """The one tensor in what captum returns; of a layer with several parts, the part that was named."""
    if isinstance(found, tuple | list):
        parts: Sequence[Any] = list(found)  # pyright: ignore[reportUnknownArgumentType]
        part = Site.parse(layer).part if layer else ""
        found = parts[int(part)] if part.isdigit() and int(part) < len(parts) else parts[0] if parts else None
    if not isinstance(found, Tensor):
        raise _unreadable(f"a {type(found).__name__}")
    if not bool(torch.isfinite(found).all()):
        raise _unreadable("values that are no finite numbers")
    return found.detach()


def _unreadable(found: str) -> ModelError:
    return ModelError("foreign.values", f"{found} from captum", "finite values over the input, its features or a layer",
                      "choose another layer, or one of our own methods")


def _laid(adapted: Adapted, case: Case, found: Tensor) -> Tensor:
    """What captum said, without its batch axis: per unit, per element of x, or once per feature."""
    x, features = case.x, case.features
    if adapted.gives == "units" and found.dim() > 0 and len(found) == 1:
        return found[0]
    by_feature = adapted.gives == "features" and "return_input_shape" in adapted.asked and adapted.inner is None
    if by_feature and found.numel() == features.n:
        return found.reshape(features.shape)
    if found.shape != (1, *x.shape):
        raise _unreadable(f"values of shape {tuple(found.shape)}")
    if adapted.gives == "elements":
        return found[0]
    ones = features.movable(x.dim()).expand(x.shape).to(found.device, torch.float64)
    total, count = (features.gather(v, x.dim()) for v in (found[0].double() * ones, ones))
    return (total / count.clamp(min=1)).reshape(features.shape)


def _told(adapted: Adapted, value: Tensor, said: Mapping[str, Any], spread: Welford) -> Estimate:
    """The estimate: errors where they are known, what the sum promises, and where the values lie."""
    place = None
    if adapted.gives == "units":
        flat = value.dim() == 3 and len(value) == 1
        value = value[0] if flat else value.reshape(tuple(value.shape) or (1,))
        shape = tuple(value.shape)
        index = torch.arange(value.numel()).reshape(shape)
        place = Features(index, tuple(range(len(shape))), shape, "image", "map") if flat else units(shape)
    exact, drawn = value.new_zeros(()), {"n_samples", "nt_samples"} & set(adapted.asked)
    sampling = (spread.variance / spread.n).sqrt().to(value) if spread.n > 1 else None if drawn else exact
    local = (said.get("multiply_by_inputs", True) is False or said.get("custom_attribution_func") is not None
             or bool(said.get("attribute_to_neuron_input")))
    notes = ("rules.hooked",) if adapted.hooks else ("sum.layer",) if place is not None and adapted.sum else ()
    notes += ("sum.free",) if local else ("sum.score",) if adapted.sum == "score" else ()
    return Estimate(value, None if "n_steps" in adapted.asked else exact, sampling, notes, place)
