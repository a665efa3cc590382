"""Trains the small nets on which quantization is judged, and writes them as NetDefs.

    python nets/train_digits.py [--seeds 10] [--only depthwise clipped residual mlp] [--ship]

Needs torch (any recent one, its CPU build is enough) and serverquant. Trained on `digits24/train.npz`; the net of a
seed goes to `build/nets/digits_NAME/SEED`, and with `--ship` one of each kind to `nets/digits_NAME`; of the depthwise
and clipped nets it is the one that quantization hurts most. Batch norm stays an operator of its own (SpatialBN), as
exporters leave it: folding it is the quantizer's work.

    depthwise   MobileNet's blocks: depthwise 3x3, pointwise, each with batch norm and Relu. The scales of the batch
                norms start log-normal, so that folding gives channels of very uneven ranges, as long training does in
                large nets
    clipped     the same with Clip 0..6 (Relu6) instead of Relu, as MobileNetV2 has it
    residual    basic blocks with a shortcut, ResNet's
    mlp         three FCs
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from serverquant.proto import NetDef
from serverquant.proto.io import save
from serverquant.quantization.net import operator

NETS = Path(__file__).resolve().parent
CACHE = NETS.parent / "build" / "nets"
EPOCHS, BATCH, SPREAD = 14, 64, 1.0
SHIPPED = {"depthwise": 7, "clipped": 7, "residual": 0, "mlp": 0}


class Writer:
    """Collects the operators of a trained net while it is walked; blobs are numbered."""

    def __init__(self, name: str):
        self.init, self.predict = NetDef(name=f"{name}_init"), NetDef(name=name)
        self.count = 0

    def weight(self, value: Tensor) -> str:
        name = self.fresh("w")
        array = value.detach().numpy()
        self.init.op.append(operator("GivenTensorFill", [], [name], shape=array.shape, values=array.reshape(-1)))
        return name

    def fresh(self, letter: str) -> str:
        self.count += 1
        return f"{letter}{self.count}"

    def add(self, kind: str, inputs: list[str], **arguments: object) -> str:
        out = self.fresh("b")
        self.predict.op.append(operator(kind, inputs, [out], **arguments))
        return out

    def layer(self, x: str, module: nn.Module) -> str:
        """The operators of one module."""
        if isinstance(module, nn.Conv2d):
            window = {"kernels": module.kernel_size, "strides": module.stride, "pads": module.padding * 2}
            return self.add("Conv", [x, self.weight(module.weight)], **window, group=module.groups)
        if isinstance(module, nn.BatchNorm2d):
            values = (module.weight, module.bias, module.running_mean, module.running_var)
            return self.add("SpatialBN", [x, *map(self.weight, values)], is_test=1, epsilon=module.eps)
        if isinstance(module, nn.Linear):
            return self.add("FC", [x, self.weight(module.weight), self.weight(module.bias)])
        if isinstance(module, nn.ReLU):
            return self.add("Relu", [x])
        if isinstance(module, nn.ReLU6):
            return self.add("Clip", [x], min=0.0, max=6.0)
        if isinstance(module, nn.AdaptiveAvgPool2d):
            return self.add("AveragePool", [x], global_pooling=1)
        if isinstance(module, nn.Flatten):
            return self.add("Flatten", [x])
        if isinstance(module, Block):
            y = self.walk(x, module.main)
            return self.add("Relu", [self.add("Add", [y, self.walk(x, module.shortcut)])])
        raise TypeError(type(module).__name__)

    def walk(self, x: str, modules: nn.Sequential) -> str:
        for module in modules:
            x = self.layer(x, module)
        return x

    def finish(self, out: str) -> tuple[NetDef, NetDef]:
        self.predict.op[-1].output[0] = "out"
        weights = [name for op in self.init.op for name in op.output]
        self.predict.external_input.extend(["data", *weights])
        self.predict.external_output.append("out")
        return self.init, self.predict


def conv(
    inputs: int, outputs: int, kernel: int = 3, stride: int = 1, group: int = 1, then: type[nn.Module] | None = nn.ReLU
) -> list[nn.Module]:
    parts = [nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=group, bias=False), nn.BatchNorm2d(outputs)]
    return [*parts, then()] if then else parts


class Block(nn.Module):
    """relu(main(x) + shortcut(x))."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.main = nn.Sequential(*conv(inputs, outputs, 3, stride), *conv(outputs, outputs, then=None))
        same = stride == 1 and inputs == outputs
        self.shortcut = nn.Sequential(*([] if same else conv(inputs, outputs, 1, stride, then=None)))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.main(x) + self.shortcut(x))


def head(channels: int) -> list[nn.Module]:
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10)]


def depthwise(then: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    parts, channels = conv(1, 16, stride=2, then=then), 16
    for outputs, stride in ((24, 1), (32, 2), (48, 1), (64, 2), (64, 1)):
        parts += [*conv(channels, channels, 3, stride, channels, then), *conv(channels, outputs, 1, then=then)]
        channels = outputs
    net = nn.Sequential(*parts, *head(channels))
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.trunc_normal_(module.weight, 0.0, SPREAD, -2 * SPREAD, 2 * SPREAD)
            module.weight.data.exp_()
    return net


def clipped() -> nn.Sequential:
    return depthwise(nn.ReLU6)


def residual() -> nn.Sequential:
    return nn.Sequential(*conv(1, 16, stride=2), Block(16, 16, 1), Block(16, 32, 2), Block(32, 48, 2), *head(48))


def mlp() -> nn.Sequential:
    layers = [nn.Linear(576, 96), nn.ReLU(), nn.Linear(96, 64), nn.ReLU(), nn.Linear(64, 10)]
    return nn.Sequential(nn.Flatten(), *layers)


KINDS: dict[str, Callable[[], nn.Sequential]] = {
    "depthwise": depthwise,
    "clipped": clipped,
    "residual": residual,
    "mlp": mlp,
}


def data() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(images, labels) to train with, and to test with."""
    train, test, labels = (np.load(NETS / "digits24" / f"{name}.npz") for name in ("train", "inputs", "labels"))
    return tuple(map(torch.from_numpy, (train["data"], train["labels"].astype(np.int64), test["data"],
                                        labels["labels"].astype(np.int64))))  # type: ignore[return-value]


def train(net: nn.Sequential, images: Tensor, labels: Tensor) -> None:
    """AdamW, one cycle of the learning rate; images shift by up to 2 pixels."""
    steps = -(-len(images) // BATCH) * EPOCHS
    optimizer = torch.optim.AdamW(net.parameters(), 1e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 6e-3, steps)
    net.train()
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(images)).split(BATCH):
            shift = torch.randint(-2, 3, (2,)).tolist()
            loss = nn.functional.cross_entropy(net(torch.roll(images[rows], shift, (2, 3))), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    net.eval()


def made(kind: str, seed: int) -> tuple[tuple[NetDef, NetDef], float]:
    """A net of this kind, trained, and the share of the test images that it has right."""
    torch.manual_seed(seed)
    net = KINDS[kind]()
    images, labels, test, wanted = data()
    train(net, images, labels)
    with torch.no_grad():
        right = (net(test).argmax(1) == wanted).float().mean().item()
    writer = Writer(f"digits_{kind}")
    return writer.finish(writer.walk("data", net)), right


def write(nets: tuple[NetDef, NetDef], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for net, name in zip(nets, ("init_net.pb", "predict_net.pb"), strict=True):
        save(net, folder / name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--only", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--ship", action="store_true", help="write nets/digits_NAME too")
    args = parser.parse_args()
    torch.use_deterministic_algorithms(True)
    for kind in args.only:
        for seed in range(args.seeds):
            nets, right = made(kind, seed)
            write(nets, CACHE / f"digits_{kind}" / str(seed))
            if args.ship and seed == SHIPPED[kind]:
                write(nets, NETS / f"digits_{kind}")
            print(f"digits_{kind} seed {seed}: {100 * right:.1f} % right", flush=True)


if __name__ == "__main__":
    main()
