"""What the drawing of a watched training says."""

from __future__ import annotations

TRAINING: dict[str, tuple[str, str]] = {
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
}  # fmt: skip
"""Key → (English, Chinese)."""
