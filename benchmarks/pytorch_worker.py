"""enformer-pytorch, timed from outside: a prediction for every line that it reads.

    pip install torch==2.13.0 enformer-pytorch     # in an environment of its own
    python benchmarks/pytorch_worker.py 196608

Prints `ready`, then for every line read the seconds of one prediction. Weights are random: they do
not change the time.
"""

import sys
import time

import torch
from enformer_pytorch import Enformer


def main() -> None:
    """Serve predictions until the input ends."""
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
