"""Every string a drawing or a report shows, in English and Chinese."""

from __future__ import annotations

from pellucid.views.names import DETAILS, METHODS, METRICS
from pellucid.views.writing import isolate, visible
from pellucid.words.errors import OptionError

CATALOGUE: dict[str, tuple[str, str]] = {
    # the question and the answer
    "why": ("Why ‘{target}’?", "为什么是“{target}”？"),
    "score": ("score {score}", "得分 {score}"),
    "baseline": ("baseline {baseline}", "基线 {baseline}"),
    "joint": (" · ", " · "),
    "comma": (", ", "、"),
    "pass": ("Checks passed", "检查通过"),
    "warn": ("Use with care", "请谨慎使用"),
    "fail": ("Do not rely on this", "请勿采信"),
    "quiet": ("no check raised a concern", "没有检查发现问题"),
    "do": ("What to do: {do}", "建议：{do}"),
    "more findings": ("and {n} more findings", "另有 {n} 条结论"),
    # scales
    "effect": ("effect on the score of ‘{target}’", "对“{target}”得分的影响"),
    "strength": ("strength", "强度"),
    "reaction": ("how strongly the score of ‘{target}’ reacts, whichever way", "“{target}”得分反应的强度（不分方向）"),
    "stronger": ("stronger", "更强"), "weaker": ("weaker", "更弱"),
    "strongest": ("strongest at {list}", "最强处：{list}"), "weakest": ("weakest at {list}", "最弱处：{list}"),
    "reacts": ("the score reacts, either way", "得分有反应（不分方向）"),
    "reacts to": ("reacts most to {list}", "对 {list} 反应最强"),
    "lowers": ("lowers the score", "降低得分"),
    "raises": ("raises the score", "提高得分"),
    "lower": ("lowers", "降低"),
    "raise": ("raises", "提高"),
    "largest": ("Full colour at ±{limit}, the largest value; no colour at zero.",
                "颜色在 ±{limit}（最大值）处最深，零处无色。"),
    "percentile": ("Full colour from ±{limit} on, the {p}th percentile of size (the largest is {largest}); "
                   "no colour at zero.",
                   "颜色自 ±{limit}（绝对值的第 {p} 百分位，最大值为 {largest}）起最深，零处无色。"),
    "error": ("Whiskers and ± show 95 % intervals (1.96 standard errors).",
              "须线与 ± 表示 95% 区间（1.96 倍标准误）。"),
    "pale": ("Pale: zero lies inside the interval.", "浅色：区间包含零。"),
    "apart": ("{k} of {n} differ from zero (95 % each).", "{n} 个中有 {k} 个与零有差异（各 95%）。"),
    # pictures
    "input": ("Input", "输入"),
    "map": ("What moved the score", "影响得分之处"), "map strength": ("Strength over the picture", "图上的强度"),
    "grid": ("{rows} × {columns} values", "{rows} × {columns} 个值"),
    "pieces": ("{n} regions", "{n} 个区域"),
    "size": ("{width} × {height} pixels", "{width} × {height} 像素"),
    "channels": ("Sum over {n} channels.", "{n} 个通道之和。"),
    "smooth": ("Values between the {rows} × {columns} grid points are interpolated.",
               "{rows} × {columns} 网格点之间的值为插值。"),
    "all zero": ("Every one of the {n} values is zero", "全部 {n} 个值均为零"),
    "zero means": ("There is nothing to colour: by this method no part of the input moved the score.",
                   "没有可着色之处：按此方法，输入的任何部分都未影响得分。"),
    "all same": ("All {n} values are the same: {value}", "全部 {n} 个值相同：{value}"),
    "same means": ("A map of one colour would mislead: no part stands out from any other.",
                   "单色图会误导：没有任何部分突出。"),
    "not finite": ("{n} values are not finite and left blank.", "{n} 个值不是有限数，留空。"),
    "none finite": ("No value is finite", "没有有限的值"),
    "top left": ("top left", "左上"), "top": ("top", "上方"), "top right": ("top right", "右上"),
    "left": ("left", "左侧"), "centre": ("centre", "中央"), "right": ("right", "右侧"),
    "bottom left": ("bottom left", "左下"), "bottom": ("bottom", "下方"), "bottom right": ("bottom right", "右下"),
    "region": ("region {n}", "区域 {n}"),
    "ninths": ("Sums over ninths of the picture", "画面九宫格求和"),
    # texts and tables
    "text": ("The text, word by word", "逐词原文"),
    "token": ("token {n}", "词元 {n}"),
    "stripped": ("The text itself was not kept.", "未保留原文。"),
    "unread": ("… {n} more characters follow the last token", "… 末个词元之后还有 {n} 个字符"),
    "hidden tokens": ("… and {n} more tokens, together {value}", "……另有 {n} 个词元，合计 {value}"),
    "columns": ("Largest effects first", "按影响大小排列"),
    "more": ("… and {n} more, together {value}", "……另有 {n} 项，合计 {value}"),
    # sentences
    "hurry": ("‘{target}’ scored {score}", "“{target}”得分 {score}"),
    "from baseline": (" (baseline {baseline})", "（基线 {baseline}）"),
    "for it": ("raised most by {list}", "主要由 {list} 提高"),
    "against it": ("lowered most by {list}", "主要由 {list} 降低"),
    "nothing": ("no part moved it", "没有任何部分影响它"),
    "colon": (": ", "："), "stop": (". ", "。"), "semicolon": ("; ", "；"),
    # the report
    "contents": ("Contents", "目录"),
    "in a hurry": ("In a hurry", "速览"),
    "embeds": ("This page embeds the inputs it draws. Share it only with people who may see them.",
               "本页面内嵌所绘的输入，请仅与有权查看者分享。"),
    "report": ("Why the model said so", "模型为何如此判断"),
    "made": ("{n} explanations · Pellucid", "{n} 个解释 · Pellucid"),
    "made one": ("1 explanation · Pellucid", "1 个解释 · Pellucid"),
    "how far": ("How far to trust it", "可信程度"),
    "method": ("The method", "方法"),
    "paper": ("Paper: {paper}", "论文：{paper}"),
    "values": ("Largest values", "最大的值"),
    "name": ("Feature", "特征"), "value": ("Effect", "影响"),
    "others": ("{n} others together", "其余 {n} 项合计"),
    "standard error": ("Standard error", "标准误"), "low": ("from", "下限"), "high": ("to", "上限"),
    "details": ("Beside the values", "附加数据"),
    "recipe": ("Recipe", "配方"),
    "replay": ("These options repeat the explanation.", "用这些选项可重现此解释。"),
    "no replay": ("Not every option could be written down: this cannot be repeated from the page alone.",
                  "并非所有选项都能写下：仅凭本页无法重现。"),
    "evidence": ("Evidence", "依据"),
    "provenance": ("Provenance", "来源"),
    "residual": ("sum of values − (score − baseline)", "值之和 −（得分 − 基线）"),
    "rows": ("rows asked", "查询行数"), "passes": ("passes", "计算遍数"), "seconds": ("seconds", "秒"),
    "chunk": ("largest pass", "最大批"), "dtype": ("numbers", "数值类型"), "device": ("device", "设备"),
    "isolation": ("isolation", "隔离方式"), "shared_by": ("explanations sharing the run", "共享运行的解释数"),
    "peak_bytes": ("memory of the largest pass", "最大一批的内存"), "strict": ("one row a pass", "每批一行"),
    "recomputed": ("blocks computed twice for lack of memory", "因内存不足而重复计算的模块"),
    "retries": ("retries for lack of memory", "因内存不足的重试次数"),
    "memory": ("how the rows of a pass were chosen", "每批行数的依据"),
    "memory predicted": ("predicted before it ran: {mib} MiB", "运行前预测：{mib} MiB"),
    "memory counted": ("counted in the first pass: too little was asked to predict it",
                       "在第一批中实测：工作量小，无需预测"),
    "memory unpredictable": ("counted in the first pass: this model cannot be run without values",
                             "在第一批中实测：此模型无法脱离数值运行"),
    "time": ("Where the time went: {seconds}", "时间去向：{seconds}"),
    "time reading": ("reading the input", "读取输入"), "time model": ("the model", "模型"),
    "time checks": ("checks on the model", "对模型的检查"), "time method": ("the method", "方法"),
    "time transfers": ("moving data", "数据传输"), "time python": ("Python around it", "外围 Python"),
    "time waiting": ("waiting for others in the run", "等待同批其他解释"),
    "time passes": ("{passes} passes, {forwards} rows through the model, {rows} of them for this explanation",
                    "{passes} 遍计算，{forwards} 行经过模型，其中 {rows} 行属于此解释"),
    "time memory": ("{peak} MiB of activations in the largest pass ({chunk} rows)",
                    "最大一批（{chunk} 行）的激活占 {peak} MiB"),
    "energy": ("{joules} J for the whole run, which {shared} explanations shared",
               "整个运行耗能 {joules} J，由 {shared} 个解释共享"),
    "energy unknown": ("energy: this machine does not tell (neither RAPL nor NVML)",
                       "能耗：本机不提供（无 RAPL 与 NVML）"),
    "joules": ("energy (J)", "能耗（J）"),
    "precision": ("precision", "精度模式"), "answered": ("answered by", "计算者"),
    "own layers": ("the model's own layers", "模型自身的层"), "because": (" ({why})", "（{why}）"),
    "twin": ("a faster copy of the model ({name})", "模型的加速副本（{name}）"),
    "apart score": ("scores apart by {d} at most", "得分最大相差 {d}"),
    "apart gradient": ("gradients by {d}", "梯度相差 {d}"),
    "apart reading": ("layer values by {d}", "层值相差 {d}"),
    "cosine": ("cosine of gradients {c}", "梯度余弦 {c}"),
    "format": ("numbers of 16 bits", "16 位数值"),
    "yes": ("yes", "是"), "no": ("no", "否"), "none": ("none", "无"),
    # what layers say
    "looked": ("What {model} saw", "{model} 看到了什么"),
    "looked at": ("{n} inputs", "{n} 个输入"), "looked at one": ("1 input", "1 个输入"),
    "units": ("{n} units", "{n} 个单元"),
    "layer": ("layer", "层"), "shape": ("shape", "形状"),
    "layer mean": ("mean {value}", "均值 {value}"), "layer spread": ("spread {value}", "离散度 {value}"),
    "layer sparsity": ("{value} at zero", "{value} 为零"),
    "layer dead": ("{value} of channels never change", "{value} 的通道从不变化"),
    "layer saturated": ("{value} at an end of the range", "{value} 到达值域端点"),
    "layer rank": ("{value} directions", "{value} 个方向"),
    "layer fine": ("{value} in fine detail", "{value} 在细节中"),
    "short mean": ("mean", "均值"), "short spread": ("spread", "离散度"), "short sparsity": ("zeros", "零"),
    "short dead": ("dead", "不变"), "short saturated": ("saturated", "饱和"), "short rank": ("rank", "秩"),
    "short fine": ("fine", "细节"),
    # heads and channels
    "active": ("What the channels of {model} do", "{model} 的通道活动"),
    "no faults": ("Nothing out of the ordinary was found", "未发现异常"),
    "strips": ("For each layer its channels side by side: the stronger, the more inputs it fires for.",
               "每层的通道并列显示：颜色越深，激活的输入越多。"),
    "channels of": ("{n} channels", "{n} 个通道"), "channels dead": ("{n} dead", "{n} 个不变"),
    "channels nearly dead": ("{n} nearly dead", "{n} 个几乎不变"),
    "channels always on": ("{n} always on", "{n} 个恒激活"),
    "channels duplicated": ("{n} duplicated", "{n} 个重复"), "channels saturated": ("{n} saturated", "{n} 个饱和"),
    "count": ("channels", "通道"), "short nearly": ("nearly", "几乎不变"), "short always": ("always on", "恒激活"),
    "short double": ("double", "重复"),
    "plan heads": ("without {n} of {of} heads: {list}", "去掉 {of} 个头中的 {n} 个：{list}"),
    "plan accuracy": ("accuracy lost: {foretold} foretold, {measured} measured",
                      "准确率损失：预计 {foretold}，实测 {measured}"),
    "plan changed": ("inputs of another class: {foretold} foretold, {measured} measured",
                     "类别改变的输入：预计 {foretold}，实测 {measured}"),
    "plan size": ("parameters {before} → {after}, {time} of the time", "参数 {before} → {after}，用时为原来的 {time}"),
    "plan masked": ("only masked, not smaller: {list}", "仅屏蔽、未变小：{list}"),
    "heads": ("What the heads of {model} are worth", "{model} 各注意力头的作用"), "head name": ("head", "头"),
    "ablation zero": ("each head in turn says zero", "逐个将头置零"),
    "ablation mean": ("each head in turn says its mean", "逐个将头置为均值"),
    "ablation none": ("by gradient alone", "仅按梯度"),
    "own accuracy": ("accuracy {value}", "准确率 {value}"),
    "importance margin": ("By how much the margin between classes falls without a head, with 95 % intervals",
                          "去掉某头后类别间隔的下降，附 95% 区间"),
    "importance score": ("By how much the score falls without a head, with 95 % intervals",
                         "去掉某头后得分的下降，附 95% 区间"),
    "importance gradient": ("Importance of a head by gradient, with 95 % intervals", "按梯度的头重要性，附 95% 区间"),
    "similarity": ("Correlation of what two heads look at", "两个头关注模式的相关"),
    "divergence": ("Jensen-Shannon distance of two heads", "两个头的 JS 距离"),
    "short accuracy": ("accuracy", "准确率"), "short loss": ("loss", "损失"), "short margin": ("margin", "间隔"),
    "short changed": ("changed", "改变"), "short score": ("score", "得分"), "short gradient": ("gradient", "梯度"),
    "short entropy": ("entropy", "熵"), "short distance": ("distance", "距离"),
    "attention": ("Attention", "注意力"),
    "attention alone": ("Each query (down) with where it looked (across). Attention alone is no attribution: it does "
                        "not know the score. How far it agrees with what of it spoke for the score stands beside it.",
                        "每个查询（纵向）看向何处（横向）。仅凭注意力不是归因：它不知道得分。"
                        "旁边标出它与真正支持得分的部分的一致程度。"),
    "agrees": ("ranks agree to {r} with gradient × attention", "与 梯度 × 注意力 的秩一致度 {r}"),
    "mean of heads": ("mean of heads", "各头均值"), "head": ("head {n}", "头 {n}"),
    "class token": ("Where the class token looked, over the picture", "类别词元看向画面的何处"),
    "matrices": ("Every query and every key", "全部查询与键"), "bits each": ("{n} bits", "{n} 比特"),
    "bits": ("spread of each head: {list} bits", "各头的分散度：{list} 比特"),
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
    "part same": ("found again {value}", "重现 {value}"),
    "excites": ("What excites {target}", "什么激发 {target}"),
    "excited": ("{value} after {steps} steps", "{steps} 步后为 {value}"),
    "excited controls": ("Random pictures with the same spectrum reach {mean} ({low} to {high}).",
                         "频谱相同的随机图像达到 {mean}（{low} 至 {high}）。"),
    "excited means": ("One of many pictures that would do: it shows what suffices, not what the unit is for.",
                      "众多可行图像之一：它显示什么足以激发，而非该单元的用途。"),
    # a training that was watched
    "training": ("Training of {model}", "{model} 的训练"),
    "looks": ("{n} looks, steps {first} to {last}", "{n} 次观察，第 {first} 至 {last} 步"),
    "no looks": ("no look was made", "没有观察"),
    "probes": ("{n} probe inputs", "{n} 个探针输入"),
    "nothing happened": ("No layer died, no gradient vanished or exploded, nothing collapsed",
                         "没有层失活，没有梯度消失或爆炸，也没有塌缩"),
    "watched loss": ("loss", "损失"),
    "watched gradient": ("gradient", "梯度"), "watched update": ("update ÷ weight", "更新 ÷ 权重"),
    "watched spread": ("spread", "离散度"), "watched dead": ("dead channels", "失活通道"),
    "watched entropy": ("attention entropy", "注意力熵"),
    "watched agreement": ("explanation: rank agreement", "解释：秩一致度"),
    "with first": ("with the first look", "与首次"), "with previous": ("with the look before", "与上次"),
    "watched suspect": ("explanation: share in the suspect part", "解释：落在可疑区域的份额"),
    "watched maps": ("What moved the score, over the steps", "各步影响得分之处"),
    "at step": ("step {n}", "第 {n} 步"),
    # how good an explanation is
    "how good": ("How good is this explanation of ‘{target}’?", "对“{target}”的这个解释有多好？"),
    "faithfulness": ("faithfulness", "忠实度"), "robustness": ("robustness", "稳健性"),
    "localisation": ("localisation", "定位"), "complexity": ("complexity", "复杂度"),
    "sanity": ("sanity", "合理性"),
    "worse": ("worse", "较差"), "better": ("better", "较好"),
    "beats all": ("better than all {n} of the same values laid elsewhere", "优于全部 {n} 个放到别处的相同值"),
    "beats some": ("better than {k} of {n} of the same values laid elsewhere",
                   "优于 {n} 个放到别处的相同值中的 {k} 个"),
    "beats none": ("no better than any of {n} of the same values laid elsewhere",
                   "不优于 {n} 个放到别处的相同值中的任何一个"),
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
    "font": ("Chinese letters need a font: install Noto Sans CJK", "中文需要字体：请安装 Noto Sans CJK"),
}  # fmt: skip
"""Key → (English, Chinese)."""

LANGUAGES = ("en", "zh")


class Phrase(str):
    """Words that are safe already, made of other words."""


def say(lang: str, key: str, /, **data: object) -> str:
    """The string in a language; what is filled in is made visible and keeps its own direction.

    A `Phrase` was made visible before and goes in as it is.
    """
    if lang not in LANGUAGES:
        raise OptionError("option.lang", f"lang={lang!r}", "'en' or 'zh'", "choose one of the two")
    return CATALOGUE[key][LANGUAGES.index(lang)].format(
        **{k: v if isinstance(v, Phrase) else isolate(str(v)) for k, v in data.items()})


def method_name(name: str, lang: str) -> str:
    """A method's name as it is written."""
    if name in METHODS:
        return METHODS[name][LANGUAGES.index(lang)]
    words = visible(name.replace("_", " "), 120)
    return words[:1].upper() + words[1:]


def detail_name(name: str, lang: str) -> str:
    """What a method says beside its values, as it is written."""
    if name in DETAILS:
        return DETAILS[name][LANGUAGES.index(lang)]
    return visible(name.replace("_", " "), 120)


def metric_name(name: str, lang: str) -> str:
    """A metric's name as it is written."""
    if name in METRICS:
        return METRICS[name][LANGUAGES.index(lang)]
    words = visible(name.replace("_", " "), 120)
    return words[:1].upper() + words[1:]
