"""Words that fill the holes of sentences, in Chinese."""

from __future__ import annotations

PHRASES: dict[str, tuple[tuple[str, str], ...]] = {
    "*": (
        ("ReLUs, and no other gates: its rule is defined for them alone",
         "只有 ReLU 而没有其他门控：其规则只对 ReLU 有定义"),
        ("a layer whose value lies over places: rows and columns, or tokens", "其值分布在位置上的层：行和列，或词元"),
        ("a picture: rows and columns", "图片：行和列"),
        ("a rule for every operation between input and score", "输入与得分之间的每个运算都有规则"),
        ("attention from every token to every token of the same sequence, layer after layer",
         "同一序列中逐层从每个词元到每个词元的注意力"),
        ("attention whose probabilities are a softmax over keys", "概率为对键的 softmax 的注意力"),
        ("choose one of: {0}", "从中选一个：{0}"),
        ("choose one of: {0}, …", "从中选一个：{0}，…"),
        ("did you mean {0}?", "是否指 {0}？"),
        ("layers that are linear but for a bias", "除偏置外为线性的层"),
        ("other rows to draw from", "可供抽取的其他行"),
        ("there is nothing to choose from", "没有可选的内容"),
    ),
    "attention.sizes": (
        ("{0} by {1}", "{0} × {1}"),
    ),
    "baseline.flips": (
        ("raise the score by some methods and lower it by others", "有的方法说提高得分，有的说降低得分"),
        ("raise the score from some baselines and lower it from others", "从有的基线看提高得分，从有的看降低得分"),
    ),
    "baseline.known": (
        ("{0} (scores {1})", "{0}（得分 {1}）"),
    ),
    "choice": (
        ("{0} by {1}", "{0} × {1}"),
        ("{0} class token", "{0} 个类别词元"),
        ("{0} class tokens", "{0} 个类别词元"),
        ("{0} distillation token", "{0} 个蒸馏词元"),
        ("{0} register token", "{0} 个寄存词元"),
        ("{0} register tokens", "{0} 个寄存词元"),
        ("{0} token of another kind", "{0} 个其他词元"),
        ("{0} tokens of another kind", "{0} 个其他词元"),
    ),
    "compare.contradict": (
        ("raise the score by some methods and lower it by others", "有的方法说提高得分，有的说降低得分"),
        ("raise the score from some baselines and lower it from others", "从有的基线看提高得分，从有的看降低得分"),
    ),
    "converged.not": (
        (", {0} was asked for", "，而要求为 {0}"),
    ),
    "csv.extra_column": (
        ("line {0}", "第 {0} 行"),
        ("row {0}", "第 {0} 行"),
    ),
    "csv.missing_column": (
        ("line {0}", "第 {0} 行"),
        ("row {0}", "第 {0} 行"),
    ),
    "csv.not_a_number": (
        (", line {0}", "（第 {0} 行）"),
        (", row {0}", "（第 {0} 行）"),
        ("an empty cell", "空单元格"),
    ),
    "csv.unknown_category": (
        (", line {0}", "（第 {0} 行）"),
        (", row {0}", "（第 {0} 行）"),
    ),
    "doctor": (
        ("no {0}", "缺少 {0}"),
    ),
    "faithful.not": (
        ("{0}: {1} alike {2}", "{0}：{2}，相似度 {1}"),
    ),
    "foreign.unbound": (
        ("a {0}", "{0}"),
    ),
    "groups.twice": (
        ("number {0}", "编号 {0}"),
    ),
    "image.unreadable": (
        ("a BMP", "BMP 文件"),
        ("a PDF", "PDF 文件"),
        ("a ZIP archive", "ZIP 压缩包"),
        ("a web page", "网页"),
        ("an SVG", "SVG 文件"),
        ("{0} bytes of another kind", "{0} 字节的其他内容"),
    ),
    "input.empty": (
        ("input {0}", "输入 {0}"),
        ("the input", "输入"),
    ),
    "input.not_finite": (
        (", line {0}", "（第 {0} 行）"),
        (", row {0}", "（第 {0} 行）"),
        ("input {0}", "输入 {0}"),
        ("the input", "输入"),
    ),
    "interval.wide": (
        (", {0} was asked for", "，而要求为 {0}"),
    ),
    "layer.no_places": (
        ("input", "输入"),
        ("{0} by {1}", "{0} × {1}"),
    ),
    "method.caveat": (
        ("a compiled part", "编译过的部分"),
        ("a power", "幂运算"),
        ("a product of values", "值的乘积"),
        ("a recurrent layer", "循环层"),
        ("a scripted function", "脚本化的函数"),
        ("attention", "注意力"),
        ("the model's own forward", "模型自身的前向计算"),
        ("{0} and {1} more", "{0} 及另外 {1} 个"),
        ("{0} at {1}", "{1} 处的 {0}"),
    ),
    "method.unfit": (
        ("a compiled part", "编译过的部分"),
        ("a power", "幂运算"),
        ("a product of values", "值的乘积"),
        ("a recurrent layer", "循环层"),
        ("a scripted function", "脚本化的函数"),
        ("attention", "注意力"),
        ("hard sigmoid", "hard sigmoid"),
        ("hard swish", "hard swish"),
        ("input", "输入"),
        ("leaky ReLU", "leaky ReLU"),
        ("log sigmoid", "log sigmoid"),
        ("relevance: convolutions {0}, dense {1}, attention {2}", "相关性：卷积 {0}，全连接 {1}，注意力 {2}"),
        ("relevance: convolutions {0}, dense {1}, attention {2}, first {3}",
         "相关性：卷积 {0}，全连接 {1}，注意力 {2}，首层 {3}"),
        ("the model", "模型"),
        ("the model's own forward", "模型自身的前向计算"),
        ("{0} and {1} more", "{0} 及另外 {1} 个"),
        ("{0} at {1}", "{1} 处的 {0}"),
    ),
    "option.unknown": (
        ("no options besides the command's own (the methods)", "除命令自身的选项外没有其他选项（各方法）"),
        ("no options besides the command's own ({0})", "除命令自身的选项外没有其他选项（{0}）"),
        ("{0} (the methods)", "{0}（各方法）"),
    ),
    "option.value": (
        ("True or False", "True 或 False"),
        ("a name", "名称"),
        ("a number", "数"),
        ("a value", "值"),
        ("a whole number", "整数"),
        ("true or false", "true 或 false"),
        ("whole numbers such as 8x8", "形如 8x8 的整数"),
    ),
    "run.other": (
        ("{0} {1} instead of {2}", "{0} 为 {1} 而非 {2}"),
    ),
    "sanity.failed": (
        ("for a twin with random labels", "用随机标签训练的孪生网络"),
        ("with parameters drawn by lot", "参数随机化后"),
        ("{0}: {1} alike {2}", "{0}：{2}，相似度 {1}"),
    ),
    "shell": (
        ("foreign", "其他库"),
        ("gradient", "梯度"),
        ("image", "图片"),
        ("reading", "层的值"),
        ("score", "得分"),
        ("table", "表格"),
        ("tensor", "张量"),
        ("text", "文本"),
    ),
    "site.disconnected": (
        ("input", "输入"),
        ("{0} at {1}", "{1} 处的 {0}"),
    ),
    "target": (
        ("a function of the output", "输出的函数"),
        ("class {0}", "类别 {0}"),
        ("likeness to a given embedding of {0}", "与给定 {0} 维嵌入的相似度"),
        ("the predicted class", "预测的类别"),
        ("unit {0} of {1}", "{1} 的单元 {0}"),
        ("{0} in a masked region", "掩码区域中的 {0}"),
        ("{0} in the box {1}", "方框 {1} 中的 {0}"),
        ("{0} in the region {1}", "区域 {1} 中的 {0}"),
        ("{0} rather than {1}", "{0} 而非 {1}"),
    ),
    "target.not_dense": (
        ("a tensor {0}", "张量 {0}"),
    ),
    "weights.mismatch": (
        ("state dict", "状态字典"),
        ("{0} missing ({1})", "缺少 {0} 个（{1}）"),
        ("{0} of another shape ({1})", "{0} 个形状不同（{1}）"),
        ("{0} unexpected ({1})", "多出 {0} 个（{1}）"),
    ),
}  # fmt: skip
"""Code (* for every code) → (English, Chinese), with the same holes."""
