"""What evaluations and comparisons say."""

from __future__ import annotations

JUDGING: dict[str, tuple[str, str]] = {
    # how good an explanation is
    "how good": ("How good is this explanation of ‘{target}’?", "对“{target}”的这个解释有多好？"),
    "faithfulness": ("faithfulness", "忠实度"), "robustness": ("robustness", "稳健性"),
    "localisation": ("localisation", "定位"), "complexity": ("complexity", "复杂度"),
    "sanity": ("sanity", "合理性"),
    "worse": ("worse", "较差"), "better": ("better", "较好"),
    "beats all": ("better than all {n} of the same values laid elsewhere", "优于全部 {n} 个对照（相同的值放到别处）"),
    "beats some": ("better than {k} of {n} of the same values laid elsewhere",
                   "优于 {n} 个对照中的 {k} 个（对照为相同的值放到别处）"),
    "beats none": ("no better than any of {n} of the same values laid elsewhere",
                   "不优于 {n} 个对照中的任何一个（对照为相同的值放到别处）"),
    "high alone": ("higher is better; nothing to compare with", "越高越好；无对照"),
    "low alone": ("lower is better; nothing to compare with", "越低越好；无对照"),
    "neither": ("describes the explanation; neither end is better", "描述解释本身，无优劣之分"),
    "is read": ("Coloured dot: this explanation, with its {level} interval. Grey dots: {n} controls, the same values "
                "laid elsewhere, which know nothing of the model. Right is better.",
                "彩色点：此解释及其 {level} 区间。灰点：{n} 个对照，即放到别处的相同值，对模型一无所知。越靠右越好。"),
    "is read alone": ("Dot: this explanation, with its {level} interval where it has one. Right is better.",
                      "点：此解释及其 {level} 区间（如有）。越靠右越好。"),
    "curve read": ("Line: this explanation. Grey: the range of the controls, with their mean.",
                   "实线：此解释。灰色：对照的范围及其均值。"),
    "not measured": ("Not measured", "未能测量"),
    "axis removed": ("share of features taken away", "移除的特征比例"),
    "axis kept": ("share of features put back", "放回的特征比例"),
    "axis score": ("score", "得分"), "axis drop": ("drop of the score", "得分下降"),
    "axis read": ("share of features read", "读取的特征比例"),
    "axis held": ("share of the values held", "包含的值的比例"),
    "axis neighbour": ("neighbour, by its change", "邻点（按变化排序）"),
    "axis change": ("relative change of the values", "数值的相对变化"),
    "axis randomised": ("share of stages put by lot", "已随机化的阶段比例"),
    "axis similarity": ("similarity", "相似度"),
    "metric": ("Metric", "指标"), "controls": ("controls", "对照"), "beaten": ("better than", "优于"),
    # several explanations side by side
    "do agree": ("Do {n} explanations of ‘{target}’ agree?", "对“{target}”的 {n} 个解释一致吗？"),
    "does baseline": ("Does the explanation of ‘{target}’ depend on its baseline?", "对“{target}”的解释取决于基线吗？"),
    "side by side": ("Side by side", "并排对照"),
    "shared scale": ("Each is scaled so that the sizes of its values sum to 1 (100 %); all share one scale of colours.",
                     "各解释均缩放为绝对值之和为 1（100%），共用同一颜色标尺。"),
    "consensus": ("Consensus", "共识"), "spread between": ("Spread between them", "彼此的离散度"),
    "prominent": ("Mean rank by size", "按大小的平均秩"), "average": ("Average", "平均"),
    "consensus read": ("Mean of the {n} that say which way, each scaled to a sum of sizes of 1; beside it the standard "
                       "deviation between them.",
                       "{n} 个有方向的解释缩放后的均值；旁边为彼此的标准差。"),
    "average read": ("The mean of the values is what averaging the method over these baselines gives.",
                     "各基线所得值的均值，即该方法对这些基线取平均的结果。"),
    "agreement": ("How far they agree", "一致程度"),
    "agree rank": ("Order (rank correlation)", "次序（秩相关）"), "agree sign": ("Direction (share)", "方向（占比）"),
    "agree top": ("The {k} largest (share)", "最大的 {k} 项（占比）"),
    "agreement read": ("Order: Spearman’s rank correlation, −1 to 1. Direction: share of the same sign, weighted by "
                       "size. The {k} largest: share that both name, {chance} by chance.",
                       "次序：斯皮尔曼秩相关，−1 到 1。方向：同号的占比，按大小加权。"
                       "最大的 {k} 项：共同点名的占比，随机为 {chance}。"),
    "contradict": ("Where they contradict", "相互矛盾之处"),
    "contradict none": ("Nowhere does one say that a feature of some size raises the score and another that it lowers "
                        "it.",
                        "没有任何较大的特征被一方说提高得分而另一方说降低得分。"),
    "boxed": ("Outlined: features that some say raise the score and others that they lower it.",
              "框出：有的解释说提高得分、有的说降低得分的特征。"),
    "swapped": ("⇄: some say that it raises the score, others that it lowers it.",
                "⇄：有的解释说提高得分，有的说降低得分。"),
    "more contradict": ("… and {n} more", "……另有 {n} 处"),
    "raised by": ("raises: {list}", "提高 {list}"), "lowered by": ("lowers: {list}", "降低 {list}"),
    "worth": ("What each is worth, and costs", "各自的价值与代价"),
    "baseline worth": ("What each baseline scores, and what follows from it", "各基线的得分与结果"),
    "worth read": ("Beside each number: better than how many of its controls, the same values laid elsewhere. Seconds "
                   "are its own arithmetic and its share of the passes that all shared.",
                   "数字旁为优于多少个对照（放到别处的相同值）。秒数为其自身运算及其在共享计算中的份额。"),
    "explained by": ("explanation", "解释"), "from baseline name": ("baseline", "基线"),
    "score there": ("score there", "该处得分"), "rows short": ("rows", "行数"), "took": ("seconds", "秒"),
    "left out": ("Left out", "未能比较"), "row column": ("row {r}, column {c}", "第 {r} 行第 {c} 列"),
    "in common": ("{passes} shared passes, {seconds} s in all", "共享 {passes} 遍计算，共 {seconds} 秒"),
}  # fmt: skip
"""Key → (English, Chinese)."""
