"""What can happen in a training, in English and Chinese: what was seen, and what to do."""

from __future__ import annotations

from collections.abc import Mapping

from pellucid.languages.choice import chosen

EVENTS: dict[str, tuple[tuple[str, str], tuple[str, str]]] = {
    "training.not_finite": (
        ("Step {step}: numbers that are not finite in {where}", "第 {step} 步：{where} 出现非有限数"),
        ("lower the learning rate, clip gradients, and look for a division or logarithm near zero before this step",
         "降低学习率、裁剪梯度，并检查此步之前接近零的除法或对数")),
    "training.diverged": (
        ("Step {step}: the loss is {loss}, {times} times what it was at first ({first})",
         "第 {step} 步：损失为 {loss}，是最初（{first}）的 {times} 倍"),
        ("lower the learning rate, or warm it up", "降低学习率，或先预热")),
    "gradients.exploded": (
        ("Step {step}: one step changed the weights by {update} of their size",
         "第 {step} 步：单步更新达到权重大小的 {update}"),
        ("lower the learning rate, or clip gradients", "降低学习率，或裁剪梯度")),
    "gradients.vanished": (
        ("Step {step}: the gradient at {layer} is {times} of the strongest layer's",
         "第 {step} 步：{layer} 的梯度只有最强层的 {times}"),
        ("use residual connections, normalisation, or an activation that does not saturate",
         "使用残差连接、归一化，或不饱和的激活函数")),
    "gradients.stopped": (
        ("Step {step}: no gradient reaches {layer} any more",
         "第 {step} 步：梯度不再到达 {layer}"),
        ("look for what cut it: a dead layer above, detach(), or a part that is no longer used",
         "检查切断原因：其上的死层、detach()，或不再使用的部分")),
    "weights.still": (
        ("Step {step}: {layer} has a gradient, but its weights do not change",
         "第 {step} 步：{layer} 有梯度，但权重不变"),
        ("give its parameters to the optimizer", "将其参数交给优化器")),
    "layer.died": (
        ("Step {step}: {dead} of the channels of {layer} say the same for every input (at first {before}){after}",
         "第 {step} 步：{layer} 有 {dead} 的通道对所有输入取值相同（最初为 {before}）{after}"),
        ("lower the learning rate, look at the layer's biases, or use an activation that cannot die",
         "降低学习率、检查该层偏置，或改用不会失活的激活函数")),
    "layer.saturated": (
        ("Step {step}: {share} of the values of {layer} lie at the ends of its range (at first {before})",
         "第 {step} 步：{layer} 有 {share} 的值位于其取值范围两端（最初为 {before}）"),
        ("lower the learning rate, or normalise what the layer is given", "降低学习率，或对该层输入做归一化")),
    "attention.collapsed": (
        ("Step {step}: every head of {layer} looks at next to one token (entropy {entropy} of the most there can be, "
         "at first {before})",
         "第 {step} 步：{layer} 的所有注意力头几乎只看一个词元（熵为最大值的 {entropy}，最初为 {before}）"),
        ("lower the learning rate, warm it up longer, or normalise queries and keys",
         "降低学习率、延长预热，或对查询与键做归一化")),
    "explanation.shortcut": (
        ("Step {step}: {share} of the explanation lies in the suspect part, which has {area} of the room{earlier}",
         "第 {step} 步：解释的 {share} 落在可疑区域，而该区域只占 {area}{earlier}"),
        ("look at what the training inputs of this class have in common there, and train without it",
         "检查该类训练输入在此处的共同点，并在去除后重新训练")),
    "explanation.moved": (
        ("Step {step}: the explanation had settled by step {settled} and then moved elsewhere (rank correlation "
         "{agreement})",
         "第 {step} 步：解释在第 {settled} 步已稳定，之后转移到别处（秩相关 {agreement}）"),
        ("compare the maps before and after; name the suspect part to measure it",
         "比较前后的图；指定可疑区域即可度量")),
    "watch.no_gradients": (
        ("No look found a gradient", "没有任何一次观察找到梯度"),
        ("call step() after backward() and before zero_grad(), or gradients() right after backward()",
         "在 backward() 之后、zero_grad() 之前调用 step()，或在 backward() 之后立即调用 gradients()")),
    "watch.failed": (
        ("Step {step}: {what}", "第 {step} 步：{what}"),
        ("see the records' notes; the training itself was not touched", "参见记录备注；训练本身未受影响")),
}  # fmt: skip
"""Code → (what was seen, what to do), each in English and Chinese; filled in with an event's `facts`."""


def told(code: str, facts: Mapping[str, object], lang: str | None = None) -> tuple[str, str]:
    """What was seen and what to do, as sentences; facts whose names end in `_zh` stand in for the others in Chinese."""
    known = dict(facts)
    if chosen(lang) == "zh":
        known |= {k.removesuffix("_zh"): v for k, v in facts.items() if k.endswith("_zh")}
    seen, do = EVENTS[code]
    place = 1 if chosen(lang) == "zh" else 0
    return seen[place].format(**known), do[place]
