"""A native PyTorch U-Net, measured as ours is: the child's side of ``bench.speed.peers``. Needs the extra ``peers``.

The same network as ``lungseg.architectures.unet``, written as a PyTorch user would: channels last, cuDNN's benchmark,
TF32 where float32 is asked for, automatic mixed precision for bfloat16, ``torch.compile`` where compiled is.
"""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from bench.running import child
from bench.running.executor import Say
from bench.running.training import restored
from bench.speed import timing

SMOOTH = 1.0  # pixel, as lungseg.losses


@dataclass(frozen=True)
class Request:
    """One configuration to measure. size: (height, width) pixels. precision: ``float32`` or ``bfloat16``."""

    width: int
    batch: int
    size: tuple[int, int]
    precision: str
    compiled: bool
    threads: int
    budget_s: float | None


def unet(width: int) -> Any:
    """Two convolutions a level, four levels, each followed by normalisation; (B, 1, H, W) to logits of that shape."""
    from torch import cat, nn

    def block(channels: int, filters: int) -> Any:
        layers: list[Any] = []
        for given in (channels, filters):
            layers += [nn.Conv2d(given, filters, 3, padding=1, bias=False), nn.BatchNorm2d(filters), nn.ReLU(True)]
        return nn.Sequential(*layers)

    class UNet(nn.Module):  # type: ignore[misc, unused-ignore]
        def __init__(self) -> None:
            super().__init__()
            levels = [width * 2**level for level in range(5)]
            self.down = nn.ModuleList(block(given, made) for given, made in zip([1, *levels[:-1]], levels, strict=True))
            self.up = nn.ModuleList(nn.ConvTranspose2d(2 * made, made, 2, 2) for made in levels[:-1])
            self.join = nn.ModuleList(block(2 * made, made) for made in levels[:-1])
            self.pool, self.head = nn.MaxPool2d(2), nn.Conv2d(width, 1, 1)

        def forward(self, x: Any) -> Any:
            skips = []
            for level in self.down[:-1]:
                skips.append(level(x))
                x = self.pool(skips[-1])
            x = self.down[-1](x)
            for up, join, skip in zip(reversed(self.up), reversed(self.join), reversed(skips), strict=True):
                x = join(cat([skip, up(x)], 1))
            return self.head(x)

    return UNet()


def measure(job: Request, say: Say) -> dict[str, Any]:
    """Images a second of training and inference on random data on the device, and what it was measured with."""
    import torch

    torch.set_num_threads(job.threads)
    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision("high")  # TF32 on a card, nothing on a CPU
    torch.backends.cudnn.allow_tf32 = True
    model = unet(job.width).to(device, memory_format=torch.channels_last)
    run = torch.compile(model) if job.compiled else model
    adam = torch.optim.Adam(model.parameters(), 1e-3)
    shape = (job.batch, 1, *job.size)
    images = torch.rand(shape, device=device).to(memory_format=torch.channels_last)
    target = (torch.rand(shape, device=device) < 0.3).float()

    def within() -> AbstractContextManager[Any]:
        half = job.precision == "bfloat16"
        return torch.autocast(device, torch.bfloat16) if half else nullcontext()

    def train() -> float:
        adam.zero_grad(set_to_none=True)
        with within():
            logits = run(images)
        prediction = torch.sigmoid(logits.float())
        both, total = (prediction * target).sum((1, 2, 3)), (prediction + target).sum((1, 2, 3))
        loss = (1 - (2 * both + SMOOTH) / (total + SMOOTH)).mean()
        loss.backward()
        adam.step()
        return float(loss.item())  # waits for the step, as ours does

    def infer() -> Any:
        with torch.inference_mode(), within():
            return torch.sigmoid(run(images).float()).cpu().numpy()  # as ours: probabilities in memory

    result = {"parameters": sum(p.numel() for p in model.parameters() if p.requires_grad)}
    pace = timing.pace(job.budget_s, device)
    for mode, step in (("train", train), ("inference", infer)):
        model.train(mode == "train")
        step()
        result[f"{mode}_images_per_second"] = timing.measure(step, lambda: None, pace).rate * job.batch
        say({"event": "measured", "text": f"{mode} {result[f'{mode}_images_per_second']:.4g} images/s"})
    name = torch.cuda.get_device_name(0) if device == "cuda" else "cpu"
    return {**result, "device": name, "versions": f"torch {torch.__version__}"}


work = child.telling(lambda payload, say: say({"event": "row", "row": measure(restored(Request, payload), say)}))


if __name__ == "__main__":
    sys.exit(child.serve(work))
