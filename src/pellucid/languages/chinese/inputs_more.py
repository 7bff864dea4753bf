"""What can be wrong with inputs: pictures, texts, tables, tensors, labels."""

from __future__ import annotations

SENTENCES: dict[str, tuple[tuple[str, str], ...]] = {
    "batch.unclear": (
        ("a batch of {0} tensors of shapes {1}", "由 {0} 个张量组成的批次，形状为 {1}"),
        ("give the inputs alone: (inputs for inputs, *_ in loader)", "只给出输入：(inputs for inputs, *_ in loader)"),
        ("inputs, (inputs, labels) with a label for each input, or a mapping with labels in it",
         "输入、(输入, 标签) 且每个输入一个标签，或含有 labels 的映射"),
    ),
    "labels.count": (
        ("give a label to each", "为每个输入给出标签"),
        ("give as many labels as inputs", "标签数与输入数相同"),
        ("input {0} with a label", "第 {0} 个输入有标签"),
        ("input {0} without a label", "第 {0} 个输入没有标签"),
        ("labels for all inputs or for none", "全部输入都有标签，或都没有"),
        ("more than {0} labels", "超过 {0} 个标签"),
        ("{0} labels", "{0} 个标签"),
        ("{0} or more, one for each input", "{0} 个或更多，每个输入一个"),
        ("{0}, one for each input", "{0} 个，每个输入一个"),
    ),
    "labels.too_large": (
        ("a file above {0} MB", "超过 {0} MB 的文件"),
        ("at most {0} MB", "至多 {0} MB"),
        ("cut it into smaller files", "切成较小的文件"),
    ),
    "labels.type": (
        ("a list of names", "名称列表"),
        ("a {0}", "{0}"),
        ("give the labels in order", "按顺序给出标签"),
    ),
    "labels.unfit": (
        ("a mapping with gaps", "有空缺的映射"),
        ("class numbers from 0 without gaps", "从 0 起不留空缺的类别编号"),
        ("give the labels in order", "按顺序给出标签"),
    ),
    "labels.unknown": (
        ("a class number from 0, or one of the model's labels", "从 0 起的类别编号，或模型的某个标签"),
        ("give class numbers", "给出类别编号"),
        ("give the classes of this model", "给出此模型的类别"),
        ("labels from 0 to {0}", "标签为 0 到 {0}"),
        ("the label {0}", "标签 {0}"),
        ("the label {0} for {1} classes", "{1} 个类别中的标签 {0}"),
    ),
    "labels.unreadable": (
        ("a label file that is neither UTF-8 lines nor JSON", "既不是 UTF-8 文本行也不是 JSON 的标签文件"),
        ("one label per line", "每行一个标签"),
        ("save it as UTF-8", "保存为 UTF-8"),
    ),
    "probe.count": (
        ("1 to {0}", "1 到 {0}"),
        ("choose a few that stand for the data", "选几个能代表数据的"),
        ("{0} probe inputs", "{0} 个探针输入"),
    ),
    "probe.missing": (
        ("give the inputs that are to be explained at every look", "给出每次观察时要解释的输入"),
        ("probe=, a few inputs", "probe=，几个输入"),
        ("something to explain with no probe inputs", "要解释却没有探针输入"),
    ),
    "row.out_of_range": (
        ("--row {0}", "--row {0}"),
        ("1 to {0}", "1 到 {0}"),
        ("count rows from 1, without the header", "行从 1 数起，不含表头"),
    ),
    "suspect.box": (
        ("give pixels of the model's input, or a mask", "给出模型输入的像素，或掩码"),
        ("left < right and top < bottom, within the picture that the model is fed",
         "left < right 且 top < bottom，并在模型收到的图片之内"),
        ("the box {0} for values of shape {1}", "形状为 {1} 的值上的方框 {0}"),
    ),
    "suspect.shape": (
        ("a mask of shape {0}", "形状为 {0} 的掩码"),
        ("give one number per feature, or rows and columns for a picture", "每个特征一个数；图片则按行和列"),
        ("the values' shape {0}", "与值相同的形状 {0}"),
    ),
    "suspect.type": (
        ("a box (left, top, right, bottom), a mask, names of features, or a list with one per probe input",
         "方框 (left, top, right, bottom)、掩码、特征名称，或每个探针输入一项的列表"),
        ("a {0}", "{0}"),
        ("say where the explanation should not lie", "说明解释不应落在何处"),
    ),
    "suspect.unknown": (
        ("choose from {0}", "从 {0} 中选择"),
        ("names of features", "特征的名称"),
        ("the feature {0}", "特征 {0}"),
    ),
    "text.control_characters": (
        ("U+{0} at character {1}", "第 {1} 个字符处的 U+{0}"),
        ("remove it", "删除它"),
        ("text without control characters (tabs and line ends are fine)", "不含控制字符的文本（制表符和换行可以）"),
    ),
    "text.empty": (
        ("a text of which no token is left", "没有剩下任何词元的文本"),
        ("an empty text", "空文本"),
        ("at least one word", "至少一个词"),
        ("give a text", "给出文本"),
        ("white space only", "只有空白"),
    ),
    "text.encoding": (
        ("UTF-8", "UTF-8"),
        ("Unicode text", "Unicode 文本"),
        ("bytes that are not UTF-8, from byte {0}", "从第 {0} 字节起不是 UTF-8"),
        ("decode them with their own encoding first", "先按其自身的编码解码"),
        ("half a surrogate pair at character {0}", "第 {0} 个字符处有半个代理对"),
        ("read the text with its own encoding", "按其自身的编码读取文本"),
    ),
    "text.too_long": (
        ("a file above {0} MB", "超过 {0} MB 的文件"),
        ("at most {0}", "至多 {0}"),
        ("at most {0} MB", "至多 {0} MB"),
        ("cut it into smaller files", "切成较小的文件"),
        ("shorten the text, or explain its parts one by one", "缩短文本，或逐段解释"),
        ("{0} characters", "{0} 个字符"),
        ("{0} tokens", "{0} 个词元"),
    ),
    "text.type": (
        ("a text (str), or a list of texts", "文本（str），或文本列表"),
        ("a {0}", "{0}"),
        ("give str", "给出 str"),
    ),
}  # fmt: skip
"""Code → (English, Chinese), with the same holes."""
