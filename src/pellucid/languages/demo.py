"""The story that the demo tells, in English and Chinese."""

from __future__ import annotations

TEXT: dict[str, tuple[str, str]] = {
    "title": ("Why five models said what they said", "五个模型为何如此判断"),
    "notes": ("Every model here is small and real, and came with the package. Each was asked why, and each answer "
              "says how far it can be trusted.",
              "这里的模型都很小但真实，随软件包一起提供。我们逐一追问原因，每个回答都说明其可信程度。"),
    "shortcut": ("A watermark gives a model away", "水印让模型露了馅"),
    "shortcut text": (
        "Both networks see the same picture of a {digit} with a watermark in its corner. One was trained on pictures "
        "in which every {mark} carried that watermark (left below); its twin never saw it (right). The first says "
        "{said}, the twin says {clean}: which of them reads the digit?\n\n"
        "Share of the positive heat that lies on the watermark, {area} of the picture: Grad-CAM {cam}, on the twin "
        "{clean_cam}; integrated gradients over patches {path}, on the twin {clean_path}.\n\n"
        "The proof: pasted onto {others} pictures of other digits, the watermark makes the first say {mark} to "
        "{flipped} of them, the twin to {clean_flipped}.",
        "两个网络看的是同一张图：数字 {digit}，角上有一个水印。其中一个在训练时，每个 {mark} 都带着这个水印"
        "（下方左图）；它的孪生网络从未见过水印（右图）。前者判断为 {said}，孪生网络判断为 {clean}："
        "谁真正在读数字？\n\n"
        "正向热度落在水印（占画面 {area}）上的份额：Grad-CAM 为 {cam}，孪生网络为 {clean_cam}；"
        "按图块的积分梯度为 {path}，孪生网络为 {clean_path}。\n\n"
        "验证：把水印贴到 {others} 张其他数字的图片上，前者有 {flipped} 张判断为 {mark}，"
        "孪生网络有 {clean_flipped} 张。"),
    "transformer": ("A vision transformer reads a digit", "视觉 Transformer 认数字"),
    "transformer text": (
        "No layer of a transformer has places of its own. The layer was found ({layer}) and its tokens were laid back "
        "onto the picture. It says {said}; the scan is a {digit}.",
        "Transformer 的层本身没有位置。软件找到了合适的层（{layer}），并把词元放回画面。"
        "它判断为 {said}；原图是 {digit}。"),
    "reviews": ("One complaint in two languages", "同一条差评，两种语言"),
    "reviews text": (
        "One small BERT reads Chinese and English. It calls the Chinese sentence {said_zh} and the English one "
        "{said_en}. Decisive words: {words_zh}; and {words_en}.",
        "一个小型 BERT 同时读中文和英文。中文句判断为{said_zh}，英文句判断为{said_en}。"
        "关键词：{words_zh}；{words_en}。"),
    "recommender": ("Will this customer buy?", "这位顾客会购买吗？"),
    "recommender text": (
        "The data were drawn from a documented process, so the true importance of every column is known. For this "
        "customer the strongest were {words}.\n\n"
        "Over {rows} customers, {right} of the {pairs} pairs of columns whose true importance differs are in the true "
        "order. Found: {found}. True: {true}.",
        "数据由公开的过程生成，因此每一列的真实重要性是已知的。对这位顾客影响最大的是 {words}。\n\n"
        "在 {rows} 位顾客上，真实重要性不同的 {pairs} 对列中，有 {right} 对次序正确。所得：{found}。真实：{true}。"),
    "none": (" (and nothing from {names})", "（{names} 毫无影响）"),
    "tumours": ("Is this tumour malignant?", "这个肿瘤是恶性的吗？"),
    "tumours text": (
        "A network over the 30 measurements of the breast-cancer table says {said}; the record says {truth}. The "
        "strongest were {words}.",
        "一个读取乳腺癌数据表 30 项测量值的网络判断为{said}；记录为{truth}。影响最大的是 {words}。"),
}  # fmt: skip
"""Key → (English, Chinese)."""
