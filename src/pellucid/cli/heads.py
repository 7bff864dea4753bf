"""`pellucid heads MODEL INPUTS`: what is every head of attention worth, and which could go?"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from pellucid.cli import output, writing
from pellucid.cli.data import Inputs, Label
from pellucid.cli.explain import Budget, Chunk, Column, Device, Model, Trust

Ablation = Annotated[str, typer.Option(metavar="A", help="What a head says that is taken out: zero, mean or none.")]
Target = Annotated[str | None, typer.Option(
    metavar="T", help="Whose score is measured; each input's label or predicted class if left out.")]
Share = Annotated[float | None, typer.Option(metavar="S", help="Plan to go without this share of heads, and measure.")]
Loss = Annotated[float | None, typer.Option(
    metavar="L", help="Plan to go without as many heads as are foretold to cost no more, and measure.")]
Save = Annotated[str | None, typer.Option("--save", metavar="FILE", help="Write the pruned copy as .safetensors.")]


def heads(
    model: Model,
    inputs: Inputs,
    label: Label = None,
    column: Column = None,
    target: Target = None,
    ablation: Ablation = "zero",
    share: Share = None,
    loss: Loss = None,
    save: Save = None,
    out: writing.Out = None,
    json: output.Json = False,
    lang: output.Lang = "en",
    trust: Trust = False,
    device: Device = None,
    budget: Budget = None,
    chunk: Chunk = None,
    no_progress: output.Quiet = False,
) -> int:
    """What is every head of attention worth, and which could go?

    Importance by ablation and by gradient with intervals, likeness between heads, and a pruning plan that is measured.
    """
    lang = output.language(lang)
    from pellucid.cli.data import several
    from pellucid.heads import heads as asked
    from pellucid.models.sources import load
    from pellucid.words.errors import OptionError

    places = [writing.check(path) for path in out or []]
    kept = None if save is None else writing.check(save, (".safetensors",))
    if kept is not None and share is None and loss is None:
        raise OptionError("option.missing", "--save without a plan", "--share or --loss", "say how much may go")
    with output.progress("loading the model", no_progress, lang):
        subject = load(model, trust=trust, device=device)
    some, labels = several(subject, inputs, column=column, label=label)
    with output.progress("asking about the heads", no_progress, lang) as report:
        found = asked(subject, some, labels, target=target, ablation=ablation, budget=budget, chunk=chunk,
                      progress=report)
    made: dict[str, Any] = {"model": model, "inputs": found.inputs, "findings": [
        {"code": f.code, "reason": f.reason, "do": f.do} for f in found.findings], "heads": [
            {"layer": layer, "head": head, **{k: float(v.values[n]) for k, v in found.importance.items()}}
            for n, (layer, head) in enumerate(found.names)]}
    told = ""
    if share is not None or loss is not None:
        plan = found.plan(share=share, loss=loss)
        with output.progress("measuring the plan", no_progress, lang) as report:
            measured = plan.measure(some, labels, budget=budget, chunk=chunk, progress=report)
        if kept is not None:
            plan.apply().save(kept)
        told = planned(plan, measured, lang)
        made["plan"] = {"off": [list(h) for h in plan.off], "foretold": None if plan.loss is None else plan.loss.value,
                        "measured": None if measured.loss is None else measured.loss.value,
                        "parameters": list(measured.parameters), "time": measured.time.value,
                        "masked": list(measured.masked)}
    for place in places:
        writing.write_drawn([found], place, made, lang=lang, more=told)
    if json:
        output.say_json(made)
    elif not places:
        output.say(found.text(lang=lang, width=output.width()) + told)
    else:
        output.wrote(places, lang)
        output.say(told) if told else None
    return output.FINDING if found.findings else output.FINE


def planned(plan: Any, measured: Any, lang: str) -> str:
    """A plan and what it costs in truth, in lines."""
    from pellucid.views.words import say

    def share(one: Any) -> str:
        return "–" if one is None else f"{one.value:.1%} ({one.low:.1%} … {one.high:.1%})"

    before, after = measured.parameters
    said = [say(lang, "plan heads", n=len(plan.off), of=plan.of, list=", ".join(f"{a}[{h}]" for a, h in plan.off)),
            say(lang, "plan accuracy" if measured.before is not None else "plan changed", foretold=share(plan.loss),
                measured=share(measured.loss)),
            say(lang, "plan size", before=f"{before:,}", after=f"{after:,}", time=f"{measured.time.value:.2f}")]
    if measured.masked:
        said.append(say(lang, "plan masked", list=", ".join(measured.masked)))
    return "\n" + "\n".join(said) + "\n"
