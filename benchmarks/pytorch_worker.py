"""Time predictions of enformer-pytorch: one prediction for each line of the input.

    pip install torch==2.13.0 enformer-pytorch     # in a separate environment
    python benchmarks/pytorch_worker.py 196608

Prints `ready`, then the seconds of one prediction for each input line. Weights are random, which
does not change the time.
"""

import sys
import time

import torch
from enformer_pytorch import Enformer


def main() -> None:
    """Predict until the input ends."""
    length_bp = int(sys.argv[1])
    model = Enformer.from_hparams(
        dim=1536, depth=11, heads=8, output_heads={"human": 5313, "mouse": 1643}, target_length=896
    ).eval()
    sequence = torch.nn.functional.one_hot(torch.randint(0, 4, [1, length_bp]), 4).float()
    with torch.inference_mode():
        model(sequence)
        print("ready", flush=True)
        for _ in sys.stdin:
            start = time.perf_counter()
            model(sequence)
            print(time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    main()
