"""PyTorch, eager: the loop of its tutorials over tensors in memory, without the cost of a DataLoader.

With a second argument, what makes it faster and costs a word each is in: the fused AdamW, and channels last.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import torch
from torch import nn

from tests.load.peers.contender import BATCH, DROPOUT, LEARNING_RATE, WEIGHT_DECAY, compete, ink

if TYPE_CHECKING:
    from tests.load.peers.contender import Epoch

TUNED = len(sys.argv) > 2
NETWORKS = {
    "lenet": lambda: nn.Sequential(
        nn.Conv2d(1, 32, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 32, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(800, 100),
        nn.ReLU(),
        nn.Dropout(DROPOUT),
        nn.Linear(100, 10),
    ),
    "mlp_deep": lambda: nn.Sequential(
        nn.Flatten(),
        nn.Linear(784, 500),
        nn.ReLU(),
        nn.Dropout(DROPOUT),
        nn.Linear(500, 300),
        nn.ReLU(),
        nn.Dropout(DROPOUT),
        nn.Linear(300, 10),
    ),
    "mlp": lambda: nn.Sequential(nn.Flatten(), nn.Linear(784, 200), nn.ReLU(), nn.Dropout(DROPOUT), nn.Linear(200, 10)),
}


def main() -> None:
    """Competes."""
    pixels, digits = ink()
    images, labels = torch.from_numpy(pixels)[:, None], torch.from_numpy(digits)

    def epoch_of(network: str) -> Epoch:
        model = NETWORKS[network]().to(memory_format=torch.channels_last if TUNED else torch.contiguous_format)
        loss = nn.CrossEntropyLoss()
        optimizer = torch.optim.AdamW(model.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY, fused=TUNED)

        def epoch() -> None:
            for batch in torch.randperm(len(images)).split(BATCH):
                optimizer.zero_grad(set_to_none=True)
                loss(model(images[batch]), labels[batch]).backward()
                optimizer.step()

        return epoch

    how = ", fused AdamW, channels last" if TUNED else ""
    compete(f"PyTorch {torch.__version__.split('+')[0]}, eager{how}", NETWORKS, epoch_of)


if __name__ == "__main__":
    main()
