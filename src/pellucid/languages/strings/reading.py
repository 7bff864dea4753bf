"""What a report says around its drawings: what kind each is, how it is read, what it does not say."""

from __future__ import annotations

READING: dict[str, tuple[str, str]] = {
    # kinds, as labels
    "kind explanation": ("Explanation", "解释"),
    "kind evaluation": ("Evaluation", "评估"),
    "kind comparison": ("Comparison", "比较"),
    "kind multiples": ("Many at once", "并列多图"),
    "kind look": ("Layers", "各层"),
    "kind heads": ("Attention heads", "注意力头"),
    "kind activity": ("Activity", "活动"),
    "kind concepts": ("Concepts", "概念"),
    "kind craft": ("Parts", "组成部分"),
    "kind visualised": ("Visualisation", "可视化"),
    "kind training": ("Training", "训练"),
    # counts for the last line: one, many
    "count explanation": ("1 explanation", "1 个解释"), "counts explanation": ("{n} explanations", "{n} 个解释"),
    "count evaluation": ("1 evaluation", "1 项评估"), "counts evaluation": ("{n} evaluations", "{n} 项评估"),
    "count comparison": ("1 comparison", "1 项比较"), "counts comparison": ("{n} comparisons", "{n} 项比较"),
    "count multiples": ("1 grid of explanations", "1 组并列解释"),
    "counts multiples": ("{n} grids of explanations", "{n} 组并列解释"),
    "count look": ("1 look at layers", "1 次层观察"), "counts look": ("{n} looks at layers", "{n} 次层观察"),
    "count heads": ("1 study of heads", "1 项注意力头研究"),
    "counts heads": ("{n} studies of heads", "{n} 项注意力头研究"),
    "count activity": ("1 study of activity", "1 项活动研究"),
    "counts activity": ("{n} studies of activity", "{n} 项活动研究"),
    "count concepts": ("1 test of concepts", "1 项概念检验"),
    "counts concepts": ("{n} tests of concepts", "{n} 项概念检验"),
    "count craft": ("1 search for parts", "1 次组成部分搜索"),
    "counts craft": ("{n} searches for parts", "{n} 次组成部分搜索"),
    "count visualised": ("1 visualisation", "1 个可视化"), "counts visualised": ("{n} visualisations", "{n} 个可视化"),
    "count training": ("1 training", "1 次训练"), "counts training": ("{n} trainings", "{n} 次训练"),
    "made of": ("{list} · Pellucid {version}", "{list} · Pellucid {version}"),
    # how each kind was made, in plain words
    "about evaluation": (
        "Each metric gives the explanation a number; the same number is taken of attributions that know nothing of the "
        "model, and p says how often those do at least as well.",
        "每个指标给解释打一个分；对不了解模型的归因同样打分，p 表示后者至少一样好的频率。"),
    "about comparison": (
        "Several explanations of the same score are laid over the same parts of the input, and it is counted how far "
        "their values, their ranks and their strongest parts agree.",
        "把同一得分的多个解释放在输入的相同部分上，统计其数值、排序与最强部分的一致程度。"),
    "about multiples": (
        "Explanations in rows and columns, each made on its own; those of one method share a scale of colours.",
        "按行列排列的解释，各自独立得出；同一方法的解释共用一个色标。"),
    "about look": (
        "What the layers said was read in one pass, bit for bit; the figures of each layer count all its channels.",
        "一次计算读出各层的输出，逐位一致；各层的数字统计其全部通道。"),
    "about heads": (
        "Every head of attention was taken out in turn, and what that changes was measured over the inputs.",
        "逐一移除每个注意力头，并在所有输入上测量由此引起的变化。"),
    "about activity": (
        "The inputs streamed through the model, and it was counted for which of them each channel fires.",
        "输入依次流过模型，统计每个通道对哪些输入有响应。"),
    "about concepts": (
        "A direction of the layer tells the concept's examples from others; the score is moved along it, and along "
        "directions of random concepts beside it.",
        "用层中的一个方向区分概念样例与其他样例；沿该方向移动得分，并与随机概念的方向对照。"),
    "about craft": (
        "What the layer said of crops of the inputs was split into parts that add up to it, and each part was taken "
        "out to see how much of the score it carries.",
        "把该层对输入裁片的输出分解为可相加的组成部分，并逐一移除以查看其对得分的贡献。"),
    "about visualised": (
        "Starting from noise, a picture was changed step by step so that the unit reacts more strongly.",
        "从噪声开始逐步修改图像，使该单元的反应越来越强。"),
    "about training": (
        "While the network was trained, its layers, gradients and explanations were looked at every few steps.",
        "训练过程中每隔若干步观察一次网络的各层、梯度与解释。"),
    # what each kind does not say
    "caveats": ("What it does not say", "它没有说明什么"),
    "caveat explanation": (
        "It tells what moved the score of this model for this input, not what causes the thing in the world. Another "
        "method, baseline or target answers another question. The score is the number that the model gives for the "
        "target; it is a probability only where the verdict says so.",
        "它说明此模型对此输入的得分由什么影响，而不是现实中的因果。换一种方法、基线或目标，回答的是另一个问题。"
        "得分是模型为该目标给出的数值；只有结论中说明时才是概率。"),
    "caveat evaluation": (
        "A good number shows that the explanation follows the model, not that the model is right.",
        "好的分数说明解释与模型相符，并不说明模型正确。"),
    "caveat comparison": (
        "That methods agree does not make them right; where they contradict one another, at least one misleads.",
        "方法一致并不意味着正确；若相互矛盾，则至少有一个在误导。"),
    "caveat multiples": (
        "Across methods colours do not compare: each measures in a unit of its own.",
        "不同方法之间颜色不可比较：各有各的单位。"),
    "caveat look": (
        "What a layer says is not what the score depends on; attention alone is no attribution.",
        "层的输出不等于得分所依赖的内容；仅凭注意力不能作为归因。"),
    "caveat heads": (
        "A head was judged over these inputs alone: with others it may matter.",
        "注意力头仅在这些输入上被评判：换一批输入它可能很重要。"),
    "caveat activity": (
        "A channel that was silent here may fire for inputs that were not among these.",
        "在此沉默的通道，可能会对未包含的输入有响应。"),
    "caveat concepts": (
        "A concept is what its examples have in common, which may be more, or less, than its name says.",
        "概念就是其样例的共同点，可能比名称所说的多或少。"),
    "caveat craft": (
        "Parts have no names of their own: what a crop seems to show is the reader's guess.",
        "组成部分没有自己的名称：裁片像什么只是读者的猜测。"),
    "caveat visualised": (
        "The picture is one of many that the unit reacts to, and none that it was trained on.",
        "这只是能引起该单元反应的众多图像之一，并非其训练图像。"),
    "caveat training": (
        "Between two looks anything may have happened, and only the probe inputs were explained.",
        "两次观察之间可能发生任何事，且只解释了探测输入。"),
    # tables of a report
    "more rows": ("{n} more rows are in the exported table", "其余 {n} 行见导出的表格"),
    "more columns": ("{n} more columns are in the exported table", "其余 {n} 列见导出的表格"),
    "overview": ("Side by side", "并列一览"),
    "over question": ("Question", "问题"), "over method": ("Method", "方法"), "over model": ("Model", "模型"),
    "over score": ("Score", "得分"), "over verdict": ("Verdict", "结论"), "over most": ("Strongest", "最强部分"),
    "over kind": ("Part", "部分"), "over found": ("Found", "发现"), "over seconds": ("Seconds", "秒"),
    "no verdict": ("Shown, not judged", "仅展示，未作判断"),
    "continued": ("{of} (continued)", "{of}（续）"),
    "rows left": ("… and {n} more rows: export() writes all", "……另有 {n} 行：export() 可写出全部"),
    "numbers as table": ("The numbers ({n} rows)", "数值表（{n} 行）"),
    "rows answered": ("{rows} of {asked} rows answered", "已完成 {rows}/{asked} 行"),
    "model kind": ("model", "模型"), "model task": ("input", "输入"), "model parameters": ("parameters", "参数"),
    "model classes": ("classes", "类别"), "task image": ("image", "图像"), "task text": ("text", "文本"),
    "task table": ("table row", "表格行"), "task tensor": ("tensor", "张量"),
    "catalogue": ("{n} methods", "{n} 种方法"),
    "settings": ("Settings", "设置"),
    "page of": ("{page} of {pages}", "第 {page} 页，共 {pages} 页"),
    "verdicts": ("{pass} passed · {warn} to use with care · {fail} failed",
                 "{pass} 项通过 · {warn} 项需谨慎 · {fail} 项未通过"),
    # templates: title, how to read it
    "title prediction": ("Why the model said so", "模型为何如此判断"),
    "read prediction": (
        "One prediction, explained. Read the verdict first: it says whether the explanation may be relied on. The "
        "drawing shows what raised and what lowered the score; the facts below it let somebody else repeat it.",
        "对一个预测的解释。先看结论：它说明该解释是否可靠。图中显示什么提高、什么降低了得分；下方的数据让他人可以重现。"),
    "title methods": ("Do the methods agree?", "各方法是否一致？"),
    "read methods": (
        "The same question, answered by several methods. Where they agree, the answer does not hang on the method; "
        "where they contradict one another, trust the one that does better in its evaluation, or neither.",
        "同一问题由多种方法回答。一致之处，答案不取决于方法；矛盾之处，请相信评估更好的那个，或都不相信。"),
    "title models": ("How the models differ", "各模型有何不同"),
    "read models": (
        "The same inputs, explained on several models. Compare what each looks at, not only what each says: a right "
        "answer for a wrong reason will not hold on other data.",
        "同样的输入在多个模型上得到解释。不仅比较各自的判断，还要比较各自看什么：理由错误的正确答案在其他数据上站不住。"),
    "title audit": ("What was found in the model", "模型检查结果"),
    "read audit": (
        "Everything that was looked at, the gravest findings first. A finding needs more than chance explains; where "
        "nothing is said, nothing was found, which is no proof that nothing is there.",
        "列出全部检查内容，最严重的发现在前。发现须超出偶然所能解释；未提及即未发现，但这不证明不存在问题。"),
    "title training": ("What happened in training", "训练中发生了什么"),
    "read training": (
        "A training as it was watched. Events come first, each with the step at which it was seen; then the figures "
        "over the steps, and where the network looked.",
        "训练过程的观察记录。先列出事件及其发生的步数，再给出各步的数字，以及网络关注之处。"),
}  # fmt: skip
"""Key → (English, Chinese)."""
