"""The answer: values with their error, verdict, evidence, recipe and provenance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

from pellucid.languages.sentences import translated
from pellucid.numbers import significance
from pellucid.numbers.intervals import quantile
from pellucid.words import draw
from pellucid.words.draw import Drawn
from pellucid.words.errors import OptionError
from pellucid.words.features import Features


class Recipe(Mapping[str, Any]):
    """Everything that was chosen, defaults included: `explain(model, x, **e.recipe)` says it again.

    `replayable` is False where an option could not be written down (a function as target, say).
    """

    def __init__(self, choices: Mapping[str, Any], replayable: bool = True) -> None:
        self._choices, self.replayable = dict(choices), replayable

    def __getitem__(self, key: str) -> Any:
        return self._choices[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._choices)

    def __len__(self) -> int:
        return len(self._choices)

    def __repr__(self) -> str:
        return "Recipe(" + ", ".join(f"{k}={v!r}" for k, v in self._choices.items()) + ")"


@dataclass(frozen=True)
class Finding:
    """One reason of a verdict: a stable code, what was seen, what to do."""

    code: str
    level: str
    reason: str
    do: str = ""

    def told(self, lang: str | None = None) -> tuple[str, str]:
        """What was seen and what to do, in a language; None is PELLUCID_LANG, else English. Raises `option.lang`."""
        return translated(self.code, self.reason, lang), translated(self.code, self.do, lang)


@dataclass(frozen=True)
class Verdict:
    """How far the explanation can be trusted: `pass`, `warn` or `fail`, with the reasons."""

    findings: tuple[Finding, ...] = ()

    @property
    def status(self) -> str:
        levels = {f.level for f in self.findings}
        return "fail" if "fail" in levels else "warn" if "warn" in levels else "pass"

    def __str__(self) -> str:
        return self.status + "".join(f"\n  {f.code}: {f.reason}" for f in self.findings)


@dataclass(frozen=True)
class Evidence:
    """What the explanation cost and how it was computed.

    `rows` were asked for this example alone; `passes`, `forwards` (rows through the model), `seconds` and
    `peak_bytes` (counted bytes of activations in the largest pass) belong to the whole run that it shared.
    `chunk` is the largest number of rows in one pass; `padded` says that examples of different lengths were
    scored in one pass, which is done only where it was proved to change nothing. `memory` says where the
    chunk came from: `predicted` before anything ran (`predicted_bytes` for that largest pass), `counted` in
    a first small pass because so little was asked, `unpredictable` where the model could not be run without
    values and was counted; `retries` is how often memory ran out all the same and fewer rows were taken.
    `recomputed` says that not even one row fitted with all that its gradients need, so that blocks of the model
    kept their inputs only and ran twice. `time` says in seconds where the time of this explanation went:
    `reading` the input, the `model` (its share of the passes), `checks` on the model, the `method`'s own
    arithmetic, `transfers` between devices, `python` around it, and `waiting` for what shared the run. All but
    reading add up to `seconds`. `joules` is the energy of the run, counted by the processor (rapl) or the card
    (nvml), None where neither says it.
    In the whole run, `twin` names the copy of the model that answered (`folded 53, channels-last`), None
    where its own layers did; `agreement` is how far the two were apart where they were compared:
    `structure` (the output in float64), `score`, `gradient` and `reading` (relative), `cosine` (the
    smallest between gradients). `untuned` says why the model's own layers answered, all questions or some.
    `format` says what was measured of numbers of 16 bits: a copy's, or the model's own beside float32; empty
    where it was all in 32 bits or more.
    """

    passes: int = 0
    forwards: int = 0
    rows: int = 0
    seconds: float = 0.0
    peak_bytes: int | None = None
    predicted_bytes: int | None = None
    memory: str = ""
    chunk: int = 0
    dtype: str = "float32"
    device: str = "cpu"
    isolation: str = "shadow"
    strict: bool = False
    shared_by: int = 1
    prefix_once: bool = False
    padded: bool = False
    recomputed: bool = False
    rows_interact: bool = False
    retries: int = 0
    time: Mapping[str, float] = field(default_factory=dict[str, float])
    joules: float | None = None
    chosen: Mapping[str, str] = field(default_factory=dict[str, str])
    precision: str = "exact"
    twin: str | None = None
    agreement: Mapping[str, float] = field(default_factory=dict[str, float])
    untuned: str = ""
    format: str = ""


@dataclass(frozen=True, eq=False)
class Shown:
    """What a drawing shows of the input: a picture (H, W, 3) of bytes, tokens, or a table's cells.

    Kept in memory only; saving it is a choice of its own.
    """

    kind: str
    image: np.ndarray[Any, Any] | None = None
    text: str = ""
    cells: tuple[str, ...] = ()
    title: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Explanation(Drawn, drawn="explanation"):
    """Why the model gave its score.

    `values` has the shape in which the features are drawn ((H, W) for pixels and patches, (n,) for
    tokens and columns, native size for a map at a layer); `elements` is the raw value per element of x
    where the method gives one; `error` is one standard error per value, None where unknown, and `errors` are its
    parts: `numerical` (of an integral's rule), `sampling`, `format` (of numbers of 16 bits), those that are not zero.
    `residual` is sum(values) - (score - baseline_score) for methods that are complete. `details` are what
    else the method says, by name: a number, text, or pairs of a name and a number (a surrogate's fit, the
    relevance that every layer kept). `means` says what a value is: an `effect` on the score, how strongly the
    score reacts (`reaction`), or a `strength` that is no part of the score. `asked` is how it came about, so that
    it can be evaluated; it is kept in memory only, and does not hold the model.
    """

    values: Tensor
    features: Features
    method: str
    target: str
    score: float
    elements: Tensor | None = None
    error: Tensor | None = None
    baseline_score: float | None = None
    residual: float | None = None
    labels: tuple[str, ...] = ()
    scores: Mapping[str, float] = field(default_factory=dict[str, float])
    verdict: Verdict = field(default_factory=Verdict)
    evidence: Evidence = field(default_factory=Evidence)
    recipe: Recipe = field(default_factory=lambda: Recipe({}))
    provenance: Mapping[str, Any] = field(default_factory=dict[str, Any])
    paper: str = ""
    summary: str = ""
    shown: Shown | None = None
    ordinal: int = 0
    details: Mapping[str, Any] = field(default_factory=dict[str, Any])
    means: str = "effect"
    asked: Any = None
    errors: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])

    def numpy(self) -> np.ndarray[Any, Any]:
        """The values as an array."""
        return self.values.detach().cpu().numpy()

    @property
    def names(self) -> tuple[str, ...]:
        """A name per value: token, column, or place in the drawing."""
        if self.features.names:
            return self.features.names
        return tuple(",".join(map(str, place)) for place in np.ndindex(*self.features.shape))

    def top(self, k: int = 10) -> list[tuple[str, float]]:
        """The k values of largest size with their names, largest first."""
        flat = self.values.detach().cpu().flatten()
        order: list[int] = flat.abs().argsort(descending=True, stable=True)[:k].tolist()
        names = self.names
        return [(names[i], float(flat[i])) for i in order]

    def interval(self, level: float = 0.95) -> tuple[Tensor, Tensor]:
        """Between which two numbers each true value lies, a share `level` of them: (low, high), shaped like `values`.

        As many normal standard errors to either side as the level takes. Raises `error.unknown`, `option.value`.
        """
        wide = quantile(_share(level)) * self._known()
        return self.values - wide, self.values + wide

    def p_values(self) -> Tensor:
        """How often a value so far from zero is seen where the true one is zero; shaped like `values`, in float64.

        Two-sided, for normal errors; 0 for an exact value that is not zero. Raises `error.unknown`.
        """
        return significance.p_values(self.values.detach().cpu(), self._known().detach().cpu())

    def significant(self, level: float = 0.05) -> Tensor:
        """Which values differ from zero, so that of those a share `level` does not on average: bool, like `values`.

        False discoveries are controlled by Benjamini and Hochberg's rule. An exact value differs unless it is zero.
        Raises `error.unknown`, `option.value`.
        """
        return significance.discoveries(self.p_values(), _share(level))

    def stability(self, k: int = 10, *, seed: int = 0) -> list[tuple[str, float]]:
        """The names of `top(k)`, each with the probability that it stays among the k largest within the errors.

        Counted over 1000 drawings, in which every value has its own error (that errors go together is left out).
        Raises `error.unknown`, `option.value`.
        """
        if k < 1:
            raise OptionError("option.value", f"k={k}", "a whole number from 1", "leave it out for the first 10")
        first, kept = significance.stays(self.values.detach().cpu(), self._known().detach().cpu(), k, seed=seed)
        names, places, shares = self.names, first.tolist(), kept.tolist()
        return [(names[i], share) for i, share in zip(places, shares, strict=True)]

    def _known(self) -> Tensor:
        if self.error is None:
            raise OptionError("error.unknown", f"values of {self.method} whose error is unknown",
                              "values with an error", "leave steps out, or raise the number of samples")
        return self.error

    def to_frame(self, table: str | None = None) -> Any:
        """A pandas DataFrame: name, value, error; or one of its tables by name."""
        if table is not None:
            return super().to_frame(table)
        import pandas as pd

        error = None if self.error is None else self.error.detach().cpu().flatten().numpy()
        return pd.DataFrame({"name": self.names, "value": self.numpy().ravel(), "error": error})

    def cite(self) -> str:
        """Where the method comes from."""
        return f"{self.method}: {self.paper}" if self.paper else self.method

    def save(self, path: Any, *, input: bool = False) -> None:
        """Write the explanation to one file; the input is left out unless asked for."""
        draw.call("save", self, path, input=input)

    def plot(self, **options: Any) -> Any:
        """A matplotlib figure (extra `plot`)."""
        return draw.call("plot", self, **options)

    def __repr__(self) -> str:
        best = ", ".join(f"{name} {value:+.3g}" for name, value in self.top(3))
        return (f"Explanation({self.verdict.status}: {self.method} for {self.target!r}, "
                f"score {self.score:.4g}; {best})")


def _share(level: float) -> float:
    if not 0 < level < 1:
        raise OptionError("option.value", f"level={level}", "a share between 0 and 1", "leave it out, or take 0.95")
    return level
