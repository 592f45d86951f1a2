"""The PyTorch side of train_step.py: the same networks, loss and optimiser; started by it, in any Python with torch.

Reads "step" lines, answers each with its seconds; at the end of input prints the peak resident memory in MB.
"""

import resource
import sys
import time

import torch
from torch import nn
from torch.nn import functional


class VNetBlock(nn.Module):
    """Refining convolutions around which the input is added, after an optional way in."""

    def __init__(self, enter, wide, num_convs, dropout):
        super().__init__()
        self.enter = enter
        self.dropout = nn.Dropout3d(0.5) if dropout else nn.Identity()
        convs = [nn.Sequential(nn.Conv3d(wide, wide, 5, padding=2, bias=False), nn.BatchNorm3d(wide), nn.ELU(True))]
        self.refine = nn.Sequential(*(convs + [VNetBlock.conv(wide) for _ in range(num_convs - 1)]))

    @staticmethod
    def conv(wide):
        return nn.Sequential(nn.Conv3d(wide, wide, 5, padding=2, bias=False), nn.BatchNorm3d(wide), nn.ELU(True))

    def forward(self, x, skip=None):
        if skip is not None:
            x = torch.cat((self.enter(self.dropout(x)), self.dropout(skip)), 1)
            return functional.elu(x + self.refine(x))
        x = self.enter(x)
        return functional.elu(x + self.refine(self.dropout(x)))


class VNet(nn.Module):
    """vnet/network.py in its published form."""

    def __init__(self, width=16, down_convs=(1, 2, 3, 2), up_convs=(2, 2, 1, 1)):
        super().__init__()
        self.first = nn.Sequential(nn.Conv3d(1, width, 5, padding=2, bias=False), nn.BatchNorm3d(width))
        depth, wide = len(down_convs), width
        downs, ups = [], []
        for i, count in enumerate(down_convs):
            enter = nn.Sequential(nn.Conv3d(wide, 2 * wide, 2, 2, bias=False), nn.BatchNorm3d(2 * wide), nn.ELU(True))
            wide *= 2
            downs.append(VNetBlock(enter, wide, count, i >= 2))
        for i, count in enumerate(up_convs):
            skip = width * 2 ** (depth - 1 - i)
            enter = nn.Sequential(nn.ConvTranspose3d(wide, skip, 2, 2, bias=False), nn.BatchNorm3d(skip), nn.ELU(True))
            wide = 2 * skip
            ups.append(VNetBlock(enter, wide, count, depth - 1 - i >= 2))
        self.downs, self.ups = nn.ModuleList(downs), nn.ModuleList(ups)
        self.mix = nn.Sequential(nn.Conv3d(wide, 2, 5, padding=2, bias=False), nn.BatchNorm3d(2), nn.ELU(True))
        self.head = nn.Conv3d(2, 2, 3, padding=1, bias=False)

    def forward(self, x):
        skips = [functional.elu(self.first(x) + x)]
        for down in self.downs:
            skips.append(down(skips[-1]))
        x = skips.pop()
        for up in self.ups:
            x = up(x, skips.pop())
        return self.head(self.mix(x))


class UNet(nn.Module):
    """unet3d/network.py for the Hippocampus, in NVIDIA's form, without deep supervision."""

    def __init__(self, widths=(32, 64, 128, 256), num_classes=3):
        super().__init__()
        before = (1, *widths[:-1])
        self.downs = nn.ModuleList(
            [UNet.stage(c, w, 1 if i == 0 else 2) for i, (c, w) in enumerate(zip(before, widths, strict=True))]
        )
        pairs = list(zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.ups = nn.ModuleList([nn.ConvTranspose3d(wide, w, 2, 2) for wide, w in pairs])
        self.joins = nn.ModuleList([UNet.stage(2 * w, w, 1) for _, w in pairs])
        self.head = nn.Conv3d(widths[0], num_classes, 1)

    @staticmethod
    def stage(channels, wide, stride):
        layers = []
        for c, s in ((channels, stride), (wide, 1)):
            layers += [nn.Conv3d(c, wide, 3, s, 1, bias=False), nn.InstanceNorm3d(wide, affine=True)]
            layers += [nn.LeakyReLU(0.01, True)]
        return nn.Sequential(*layers)

    def forward(self, x):
        skips = []
        for down in self.downs:
            x = down(x)
            skips.append(x)
        skips.pop()
        for up, join in zip(self.ups, self.joins, strict=True):
            x = join(torch.cat((up(x), skips.pop()), 1))
        return self.head(x)


def dice_loss(logits, label):
    logits = logits.float()
    probability = torch.sigmoid(logits[:, 1] - logits[:, 0])
    total = (probability * probability).sum() + (label * label).sum()
    return 1 - 2 * (probability * label).sum() / (total + 1e-5)


def dice_ce_loss(logits, label):
    logits = logits.float()
    probability = torch.softmax(logits, 1)
    truth = functional.one_hot(label, logits.shape[1]).movedim(-1, 1)
    overlap, total = (probability * truth).sum((0, 2, 3, 4)), (probability + truth).sum((0, 2, 3, 4))
    return functional.cross_entropy(logits, label) + 1 - ((2 * overlap + 1e-5) / (total + 1e-5))[1:].mean()


def main() -> None:
    kind, batch, depth, height, width, precision, last = sys.argv[1:]
    shape = tuple(int(n) for n in (batch, depth, height, width))
    torch.manual_seed(0)
    layout = torch.channels_last_3d if last == "1" else torch.contiguous_format
    net = (VNet() if kind == "vnet" else UNet()).to(memory_format=layout)
    classes = 2 if kind == "vnet" else 3
    image = torch.randn(shape[0], 1, *shape[1:]).to(memory_format=layout)
    label = torch.randint(0, classes, shape)
    label = label.float() if kind == "vnet" else label
    loss_of = dice_loss if kind == "vnet" else dice_ce_loss
    if kind == "vnet":
        optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    else:
        optimizer = torch.optim.SGD(net.parameters(), 1e-2, momentum=0.99, nesterov=True)
    for line in sys.stdin:
        if line.strip() != "step":
            break
        start = time.perf_counter()
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            logits = net(image)
        loss = loss_of(logits, label)
        loss.backward()
        optimizer.step()
        loss.item()
        sys.stdout.write(f"{time.perf_counter() - start}\n")
        sys.stdout.flush()
    sys.stdout.write(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}\n")


if __name__ == "__main__":
    main()
