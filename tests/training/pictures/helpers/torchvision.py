"""torchvision's ResNet as a torch module, written from its papers, as a reference for weights."""

import torch
from torch import nn
from torch.nn import functional


class Bottleneck(nn.Module):
    def __init__(self, taken, planes, stride, groups, width):
        super().__init__()
        inner, out = planes * width // 64 * groups, 4 * planes
        self.conv1 = nn.Conv2d(taken, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, 1, groups=groups, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out)
        self.downsample = None
        if stride > 1 or taken != out:
            convolution = nn.Conv2d(taken, out, 1, stride, bias=False)
            self.downsample = nn.Sequential(convolution, nn.BatchNorm2d(out))

    def forward(self, x):
        y = functional.relu(self.bn1(self.conv1(x)))
        y = functional.relu(self.bn2(self.conv2(y)))
        return functional.relu(
            self.bn3(self.conv3(y)) + (self.downsample(x) if self.downsample else x)
        )


class ResNet(nn.Module):
    def __init__(self, blocks, groups=1, width=64):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        taken = 64
        for stage, (planes, count) in enumerate(zip((64, 128, 256, 512), blocks, strict=True), 1):
            made = []
            for block in range(count):
                stride = 2 if stage > 1 and block == 0 else 1
                made.append(Bottleneck(taken, planes, stride, groups, width))
                taken = 4 * planes
            setattr(self, f"layer{stage}", nn.Sequential(*made))
        self.fc = nn.Linear(taken, 10)

    def forward(self, x):
        x = functional.relu(self.bn1(self.conv1(x)))
        x = functional.max_pool2d(x, 3, 2, 1)
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
        return x.mean(dim=(2, 3))


def vgg19():
    """torchvision's VGG19 without batch norm, up to a global average."""
    layers, taken = [], 3
    for maps, count in ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4)):
        for _ in range(count):
            layers += [nn.Conv2d(taken, maps, 3, padding=1), nn.ReLU()]
            taken = maps
        layers.append(nn.MaxPool2d(2))

    class Vgg(nn.Module):
        def __init__(self):
            super().__init__()
            self.features = nn.Sequential(*layers)
            self.classifier = nn.Sequential(nn.Linear(512, 4))

        def forward(self, x):
            return self.features(x).mean(dim=(2, 3))

    return Vgg()


def seeded(make, *words):
    """A module with weights and statistics by chance, as a trained one has them."""
    torch.manual_seed(0)
    module = make(*words).eval()
    for one in module.modules():
        if isinstance(one, nn.BatchNorm2d):
            one.running_mean.uniform_(-0.2, 0.2)
            one.running_var.uniform_(0.5, 1.5)
            nn.init.uniform_(one.weight, 0.3, 0.7)
    return module


def normalised(images):
    """uint8 (n, height, width, 3) as torchvision's transforms make it."""
    x = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return (x - mean[:, None, None]) / deviation[:, None, None]
