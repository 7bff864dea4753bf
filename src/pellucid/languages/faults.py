"""What can be wrong inside a model, in English and Chinese: what was seen, the usual cause, and what helps."""

from __future__ import annotations

from collections.abc import Mapping

from pellucid.languages.choice import chosen

FAULTS: dict[str, tuple[tuple[str, str], tuple[str, str]]] = {
    "channels.dead": (
        ("{n} of {of} channels of {layer} ({share}) said the same for all {inputs} inputs; were they like the others, "
         "about {expected} would; each changes for at most {unseen} of inputs (95 %), and as many inputs again would "
         "make about {more} of them fire",
         "{layer} 的 {of} 个通道中有 {n} 个（{share}）对全部 {inputs} 个输入取值不变；"
         "若与其他通道相同，偶然情况下应约为 {expected} 个；"
         "它们对输入有反应的比例不超过 {unseen}（95%），"
         "再给同样多的输入，其中约 {more} 个会有反应"),
        ("usually a learning rate that was too high, or large negative biases: lower it or warm it up, initialise "
         "the layer anew, use an activation that cannot die; or remove those that more inputs leave silent",
         "常见原因是学习率过高或偏置过负：降低或预热学习率、重新初始化该层、改用不会失活的激活函数，"
         "或移除在更多输入下仍无反应的通道")),
    "channels.nearly_dead": (
        ("{n} of {of} channels of {layer} ({share}) are active in less than 0.1 % of places",
         "{layer} 的 {of} 个通道中有 {n} 个（{share}）在不足 0.1% 的位置激活"),
        ("look at what they fire for: rare features may be wanted; otherwise lower the learning rate, or use fewer "
         "channels", "查看它们对什么激活：罕见特征可能有用；否则降低学习率或减少通道")),
    "layer.linear": (
        ("{n} of {of} channels of {layer} ({share}) are above zero everywhere: its rectifier cuts nothing there",
         "{layer} 的 {of} 个通道中有 {n} 个（{share}）处处大于零：整流函数在此不起作用"),
        ("usually large positive biases or inputs that are not centred: normalise what the layer is given",
         "常见原因是偏置过大或输入未居中：对该层的输入做归一化")),
    "channels.duplicated": (
        ("{n} of {of} channels of {layer} ({share}) say what others do, up to scale and offset: {groups}",
         "{layer} 的 {of} 个通道中有 {n} 个（{share}）与其他通道相同（仅差比例与偏移）：{groups}"),
        ("usually weights that were copied or initialised alike, or more channels than there is to learn: draw "
         "weights at random, or merge these channels",
         "常见原因是权重被复制或初始化相同，或通道多于所需：随机初始化权重，或合并这些通道")),
    "layer.saturated": (
        ("{n} of {of} channels of {layer} ({share}) lie at the ends of its range for 95 % of their values or more: "
         "next to no gradient passes",
         "{layer} 的 {of} 个通道中有 {n} 个（{share}）至少 95% 的值位于取值范围两端：梯度几乎无法通过"),
        ("usually weights or inputs that are too large: normalise what the layer is given, initialise it with smaller "
         "weights, or use an activation without ends",
         "常见原因是权重或输入过大：对该层输入做归一化、用更小的权重初始化，或改用无界的激活函数")),
    "layer.unnormalised": (
        ("{layer} is not normalised as {n} layers of its kind are, and its values spread by {scale} where theirs do by "
         "{peers}: {times} times off",
         "{layer} 未像其余 {n} 个同类层那样归一化，其值的离散度为 {scale}，而它们为 {peers}：相差 {times} 倍"),
        ("usually a normalisation that was left out or replaced: put one behind this layer and train on, or give a "
         "reason why it has none", "常见原因是漏掉或替换了归一化层：在该层之后补上并继续训练，或说明为何不需要")),
    "layer.out_of_scale": (
        ("the values of {layer} spread by {scale}, those before it by {before} and those after it by {after}",
         "{layer} 的值离散度为 {scale}，其前为 {before}，其后为 {after}"),
        ("usually a missing normalisation or a weight that grew without bounds: normalise the layer, or use weight "
         "decay", "常见原因是缺少归一化或权重无限增长：对该层做归一化，或使用权重衰减")),
    "layer.blurred": (
        ("{layer} keeps {fine} of its variance in fine detail, {other} before it had {before}, at the same size",
         "{layer} 的方差中细节仅占 {fine}，而同尺寸的前一层 {other} 为 {before}"),
        ("usually a smoothing kernel, an upsampling in between, or weights that became averages: look at the maps, and "
         "use a smaller kernel or a skip connection where detail matters",
         "常见原因是平滑卷积核、中间的上采样，或权重趋于平均：查看特征图，在需要细节处使用更小的核或跳跃连接")),
    "layer.not_finite": (
        ("{n} of {of} channels of {layer} ({share}) are not finite (NaN or infinite) for {hit} of {inputs} inputs: "
         "{list}",
         "{layer} 的 {of} 个通道中有 {n} 个（{share}）对 {inputs} 个输入中的 {hit} 个取值非有限（NaN 或无穷）：{list}"),
        ("usually weights that training has ruined, a division by zero, the logarithm or root of what is not above "
         "zero, or half precision that overflows: look for NaN in this layer's weights and go back to a checkpoint "
         "without, keep divisors and arguments above zero, or compute the layer in float32",
         "常见原因是训练已损坏权重、除以零、对非正数取对数或开方，或半精度溢出："
         "检查该层权重是否含 NaN 并回到不含的检查点、使除数和自变量大于零，或以 float32 计算该层")),
    "heads.same": (
        ("the heads {list} look at the same tokens: their patterns correlate by {least} or more",
         "注意力头 {list} 关注相同的词元：其模式的相关系数不低于 {least}"),
        ("usually copied weights, or more heads than there is to learn: all but one can probably go, see "
         "plan(share=...).measure(...)",
         "常见原因是权重被复制，或头多于所需：大概只需保留一个，参见 plan(share=...).measure(...)")),
}  # fmt: skip
"""Code → (what was seen, cause and cure), each in English and Chinese; filled in with a fault's `facts`."""


def told(code: str, facts: Mapping[str, object], lang: str | None = None) -> tuple[str, str]:
    """What was seen, and what to do, as sentences."""
    seen, do = FAULTS[code]
    place = 1 if chosen(lang) == "zh" else 0
    return seen[place].format(**facts), do[place]
