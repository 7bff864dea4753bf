"""What can be wrong with models, their sources, weights and packages."""

from __future__ import annotations

SENTENCES: dict[str, tuple[tuple[str, str], ...]] = {
    "weights.mismatch": (
        ("give a checkpoint of the same architecture: its state dict, file or subject",
         "给出同一架构的检查点：其状态字典、文件或 subject"),
        ("take off the prefix that DataParallel or torch.compile put before each name",
         "去掉 DataParallel 或 torch.compile 加在各名称前的前缀"),
        ("the {0} names of the module", "该模块的 {0} 个名称"),
        ("the {0} parameters of the model", "该模型的 {0} 个参数"),
        ("use the function and the arguments that the weights were trained with", "使用训练这些权重时的函数和参数"),
        ("weights ({0}) with {1}", "权重（{0}）{1}"),
        ("weights with {0}", "权重{0}"),
    ),
    "weights.unavailable": (
        ("give a file ({0}@weights.safetensors), or take random ones ({1}?weights=random)",
         "给出文件（{0}@weights.safetensors），或用随机权重（{1}?weights=random）"),
        ("no weights for {0} on this machine, and none could be fetched", "本机没有 {0} 的权重，也无法获取"),
        ("weights in the cache, or a connection", "缓存中的权重，或网络连接"),
    ),
    "weights.unknown_kind": (
        (".safetensors", ".safetensors"),
        ("a state dict, a file of weights, a module or a Subject", "状态字典、权重文件、模块或 Subject"),
        ("a {0} as other weights", "以 {0} 作为其他权重"),
        ("save them with safetensors.torch.save_file", "用 safetensors.torch.save_file 保存"),
        ("weights ending in nothing", "没有后缀的权重文件"),
        ("weights ending in {0}", "以 {0} 结尾的权重文件"),
        ("write for example other='demo:digits-random', or other=twin.state_dict()",
         "例如写 other='demo:digits-random'，或 other=twin.state_dict()"),
    ),
    "weights.unreadable": (
        ("a complete one", "完整的文件"),
        ("a damaged safetensors file", "损坏的 safetensors 文件"),
        ("a pickle with something that ended the process which read it", "读取时使进程终止的 pickle 文件"),
        ("a state dict of dense tensors", "稠密张量的状态字典"),
        ("copy or download it again", "重新复制或下载"),
        ("save it again: torch.save(model.state_dict(), path), or better as safetensors",
         "重新保存：torch.save(model.state_dict(), path)，最好存为 safetensors"),
        ("a pickle with more than tensors, or damaged", "pickle 文件中除张量外另有内容，或已损坏"),
    ),
    "wrap.several": (
        ("one of preprocess, columns and tokenizer", "preprocess、columns 和 tokenizer 之一"),
        ("say what kind of input the model takes", "说明模型接受哪种输入"),
    ),
}  # fmt: skip
"""Code → (English, Chinese), with the same holes."""
