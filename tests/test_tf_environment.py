import os
import subprocess
import sys

import psutil
import pytest
import tensorflow as tf

from senformer.model.attention.blockwise_softmax import Keys, attend
from senformer.tf_environment import KEEP, LIMIT_MB, keep_memory, keep_reductions_in_xla

ARRAY_MB = 64
PAGES_OF_ARRAY = ARRAY_MB * 2**20 // os.sysconf("SC_PAGE_SIZE")
COUNT_NEW_PAGES = f"""
import resource, senformer, tensorflow as tf
x = tf.zeros([{ARRAY_MB}, 2**18])
for _ in range(3):
    y = x + 1
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    y = x + 1
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def new_pages(settings: dict[str, str]) -> int:
    """Count the memory pages that the system provides for ten large arrays in turn."""
    environment = {k: v for k, v in os.environ.items() if k not in (KEEP, LIMIT_MB)}
    done = subprocess.run(
        [sys.executable, "-c", COUNT_NEW_PAGES],
        env={**environment, "TF_ENABLE_ONEDNN_OPTS": "0", "CUDA_VISIBLE_DEVICES": "", **settings},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return int(done.stdout)


@pytest.mark.slow
def test_allocator_reuses_memory():
    assert new_pages({}) < PAGES_OF_ARRAY
    assert new_pages({KEEP: "0"}) > 5 * PAGES_OF_ARRAY  # without the setting


def test_keep_memory_allows_all_memory():
    environment: dict[str, str] = {}
    keep_memory(environment)
    total = psutil.virtual_memory().total
    assert total - 2**20 < int(environment.pop(LIMIT_MB)) * 2**20 <= total
    assert environment == {KEEP: "1"}


def test_keep_memory_keeps_existing_settings():
    environment = {KEEP: "0", LIMIT_MB: "1000"}
    keep_memory(environment)
    assert environment == {KEEP: "0", LIMIT_MB: "1000"}


USES_STREAMS = """
import sys, tqdm
from senformer.tf_environment import open_closed_streams
open_closed_streams()
with open(sys.argv[1], "w") as file:
    assert file.fileno() > 2
    print("out")
    list(tqdm.tqdm([1], file=sys.stderr))
"""


@pytest.mark.parametrize("closed", ["2>&-", ">&-", "<&- >&- 2>&-"])
def test_closed_streams_are_opened(closed, tmp_path):
    file = tmp_path / "file"
    command = f'exec "$0" -c "$1" "$2" {closed}'
    subprocess.run(["sh", "-c", command, sys.executable, USES_STREAMS, str(file)], check=True)
    assert file.read_bytes() == b""


LINES = b"""\
WARNING: All log messages before absl::InitializeLog() is called are written to STDERR
I0000 00:00:1 1 cudart_stub.cc:31] Could not find cuda drivers on your machine
E0000 00:00:1 1 cuda_platform.cc:52] failed call to cuInit: INTERNAL: UNKNOWN ERROR (303)
E0000 00:00:1 1 cuda_platform.cc:52] failed call to cuInit: driver mismatch (803)
F0000 this processor has no AVX
"""


def test_load_tensorflow_shows_only_errors(tmp_path):
    fake = f"import os\nos.write(2, {LINES!r})\nos.abort()\n"
    (tmp_path / "tensorflow.py").write_text(fake)
    load = "from senformer.tf_environment import load_tensorflow; load_tensorflow()"
    path = os.pathsep.join([str(tmp_path), *sys.path])
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run([sys.executable, "-c", load], env=environment, stderr=subprocess.PIPE)
    assert done.stderr.splitlines() == LINES.splitlines()[3:]


@pytest.mark.slow
def test_tensorflow_is_quiet_on_cpu():
    script = (
        "from senformer.tf_environment import load_tensorflow; load_tensorflow()\n"
        "import tensorflow as tf; tf.function(lambda x: x + 1, jit_compile=True)(tf.zeros(3))"
    )
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "2"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, check=True
    )
    assert done.stderr + done.stdout == b""


YNNPACK_CALL = "__ynn_fusion"  # name of YNNPACK's part in a compiled program


def softmax_parts(logits: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Compute a maximum and a sum that XLA would hand to YNNPACK."""
    weights = tf.exp(logits - tf.reduce_max(logits, axis=1, keepdims=True))
    return weights, tf.reduce_sum(weights, axis=1)


def attend_to_key(query: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
    """Compute attention of query blocks, whose products XLA computes on some CPUs."""
    return attend(query, Keys(key=key, value=key))[0]


@pytest.mark.parametrize(
    ("function", "shapes", "operation"),
    [
        (softmax_parts, [[1, 1536, 128]], "reduce("),
        (attend_to_key, [[16, 64, 192], [16, 512, 192]], "dot("),
    ],
)
def test_xla_uses_no_library(function, shapes, operation):
    compiled = tf.function(function, jit_compile=True)
    inputs = [tf.zeros(shape) for shape in shapes]
    program = compiled.experimental_get_compiler_ir(*inputs)(stage="optimized_hlo")
    assert operation in program
    assert YNNPACK_CALL not in program


@pytest.mark.slow
def test_parallel_first_runs_do_not_crash():
    for tokens in range(1024, 1024 + 64 * 20, 64):  # each size is a new program

        @tf.function
        def of_heads(query, key):
            def of_one(arrays):
                query, key = (x[tf.newaxis] for x in arrays)
                return attend(query, Keys(key=key, value=key))[0][0]

            return tf.map_fn(
                of_one, (query, key), fn_output_signature=tf.float32, parallel_iterations=2
            )

        key = tf.random.stateless_normal([8, tokens, 8], [0, 0])
        output = of_heads(key[:, :128], key)
        assert output.shape == [8, 128, 8]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, "--xla_cpu_experimental_ynn_fusion_type=-reduce"),
        ("--xla_dump_to=x", "--xla_dump_to=x --xla_cpu_experimental_ynn_fusion_type=-reduce"),
        (
            "--xla_cpu_experimental_ynn_fusion_type=dot",
            "--xla_cpu_experimental_ynn_fusion_type=dot",
        ),
    ],
)
def test_keep_reductions_keeps_other_flags(before, after):
    environment = {} if before is None else {"XLA_FLAGS": before}
    keep_reductions_in_xla(environment)
    assert environment == {"XLA_FLAGS": after}
