"""What drawings of concepts, parts and painted pictures say."""

from __future__ import annotations

CONCEPTS: dict[str, tuple[str, str]] = {
    # concepts
    "concepts": ("Which concepts move ‘{target}’", "哪些概念影响“{target}”"),
    "concepts over": ("{n} inputs, {sets} counter-sets, {m} random concepts",
                      "{n} 个输入，{sets} 个对照集，{m} 个随机概念"),
    "concepts how": ("Dots: the share of inputs whose score grows along the concept, one for each counter-set, and "
                     "their mean. Grey: where 95 % of random concepts lie.",
                     "圆点：得分沿概念方向上升的输入所占比例，每个对照集一个，及其均值。"
                     "灰色：95% 的随机概念所在范围。"),
    "concept": ("concept", "概念"), "tcav score": ("score", "得分"), "tcav slope": ("slope", "斜率"),
    "tcav accuracy": ("told apart", "可分辨"), "tcav stability": ("stable", "稳定性"), "tcav p": ("p", "p"),
    "tcav says": ("says", "结论"),
    "tcav line": ("score {score} · slope {slope} · told apart {accuracy} · p = {p}",
                  "得分 {score} · 斜率 {slope} · 可分辨 {accuracy} · p = {p}"),
    "tcav significant": ("significant", "显著"), "tcav not": ("like random concepts", "与随机概念无异"),
    "tcav none": ("no concept here", "此处无此概念"),
    "crafted": ("What {layer} is made of, for ‘{target}’", "{layer} 由什么组成（对“{target}”而言）"),
    "crafted over": ("{n} inputs, {crops} crops of {side} pixels, {lost} not made up by parts",
                     "{n} 个输入，{crops} 个 {side} 像素的裁片，{lost} 未被各部分解释"),
    "part": ("Part {n}", "部分 {n}"),
    "part importance": ("importance {value}", "重要性 {value}"),
    "part effect": ("effect on the score {value}", "对得分的影响 {value}"),
    "part scale": ("Each map is on a scale of its own: the number below it is the most of the part in the first "
                   "input, in full colour.", "每张图各有尺度：其下的数字是该部分在首个输入中的最大量，以最深色显示。"),
    "part same": ("found again {value}", "重现 {value}"),
    "excites": ("What excites {target}", "什么激发 {target}"),
    "excited": ("{value} after {steps} steps", "{steps} 步后为 {value}"),
    "excited controls": ("Random pictures with the same spectrum reach {mean} ({low} to {high}).",
                         "频谱相同的随机图像达到 {mean}（{low} 至 {high}）。"),
    "excited means": ("One of many pictures that would do: it shows what suffices, not what the unit is for.",
                      "众多可行图像之一：它显示什么足以激发，而非该单元的用途。"),
}  # fmt: skip
"""Key → (English, Chinese)."""
