"""Compute Enformer's exact attention with cuDNN's fused kernel, which never holds its weights.

The kernel computes `softmax(query key^T + bias) value` tile by tile on the chip and saves one
number per query. Enformer's logits by relative position are the bias, a group of heads at a time.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import tensorflow as tf
from tensorflow.compiler.tf2xla.ops import gen_xla_ops

from senformer.model.attention.dense import DenseAttention
from senformer.model.attention.heads import AttentionInputs, WeightDropout
from senformer.model.attention.relative_logits import shift_to_keys, shift_to_positions
from senformer.model.compute import device
from senformer.model.compute.recomputation import Residuals
from senformer.model.compute.xla import hold_back, is_in_one_program

SMALL_GROUP_BYTES, LARGE_GROUP_BYTES = 40e6, 300e6
"""Memory of the biases of one group of heads: as many heads as the first number allows, and two
while the second allows them, because each group costs kernels."""

_HALF_TYPES = {tf.bfloat16: "BF16", tf.float16: "F16"}
_FIRST_CAPABILITY = (8, 0)  # Ampere
_UNEQUAL_SIZES_CAPABILITY = (9, 0)  # Hopper: the value may be wider than the key
_LARGEST_EQUAL_SIZE = 128  # of a head before Hopper


class FusedAttention(DenseAttention):
    """Multi-head attention with the function and the parameters of `DenseAttention`.

    Attention weights are not dropped out: the kernel's seed would be a constant of the program.

    Source: Avsec et al. 2021; Dao et al. 2022 (FlashAttention); cuDNN's fused attention.
    """

    def attend(
        self, inputs: AttentionInputs, dropout: WeightDropout | None, residuals: Residuals | None
    ) -> tf.Tensor:
        """Attend to all keys, without dropout of the weights."""
        del dropout
        return fused_attention(inputs, residuals)


def fused_attention(
    inputs: AttentionInputs,
    residuals: Residuals | None = None,
    *,
    heads_per_group: int | None = None,
) -> tf.Tensor:
    """Attend from every query to every key, by content and by relative position.

    The backward pass keeps the output and one number per query. It computes the biases again.

    Args:
        inputs: Queries, already scaled, keys, values and relative positions.
        residuals: Where a recomputed block saves the output.
        heads_per_group: Heads per call of the kernel, a divisor of the number of heads; by default
            `choose_heads_per_group` decides.

    Returns:
        `[batch, heads, tokens, value_size]`.

    Source: Dai et al. 2019, section 3.3; Dao et al. 2022, section 3.1.
    """
    heads, tokens = inputs.query.shape[1:3]
    residuals = residuals or Residuals()
    size = heads_per_group or choose_heads_per_group(heads, tokens)
    dtype = inputs.query.dtype
    # As `shift_to_keys` expects: row 0 is not used.
    relative_key = tf.pad(inputs.relative_key, [[0, 0], [1, 0], [0, 0]])
    shared = inputs._replace(
        relative_key=tf.cast(relative_key, dtype)[tf.newaxis],
        content_bias=tf.cast(inputs.content_bias, dtype)[tf.newaxis, :, tf.newaxis],
        position_bias=tf.cast(inputs.position_bias, dtype)[tf.newaxis, :, tf.newaxis],
    )
    outputs = [
        _attend_group(AttentionInputs(*(x[:, first : first + size] for x in shared)), residuals)
        for first in range(0, heads, size)
    ]
    return tf.concat(outputs, axis=1)


def choose_heads_per_group(heads: int, tokens: int) -> int:
    """Choose how many heads one call of the kernel takes, a divisor of `heads`, by memory."""
    bias_bytes = 2 * tokens**2
    allowed = int(SMALL_GROUP_BYTES // bias_bytes)
    if 2 * bias_bytes <= LARGE_GROUP_BYTES:
        allowed = max(allowed, 2)
    return max((n for n in range(1, allowed + 1) if heads % n == 0), default=1)


def _attend_group(inputs: AttentionInputs, residuals: Residuals) -> tf.Tensor:
    """Attend with one group of heads; recompute its biases in the backward pass."""
    kernel = choose_kernel(inputs.query.dtype)

    @tf.custom_gradient
    def attend(*tensors: tf.Tensor) -> tuple[tf.Tensor, Callable]:
        inputs = AttentionInputs(*tensors)
        output, log_total = residuals.keep(lambda: kernel.attend(*_add_positions(inputs)))

        def gradient(upstream: tf.Tensor) -> AttentionInputs:
            *held, held_output, held_total = hold_back(
                [*tensors, output, log_total], until=[upstream]
            )
            held_inputs = AttentionInputs(*held)
            saved = Saved(*_add_positions(held_inputs), held_output, held_total)
            return _input_gradients(held_inputs, kernel.gradient(saved, upstream))

        return output, gradient

    return attend(*inputs)


def _add_positions(
    inputs: AttentionInputs,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    """Return the kernel's query, key, value and bias `[batch, group, tokens, tokens]`."""
    position_query = inputs.query + inputs.position_bias
    products = tf.matmul(position_query, inputs.relative_key, transpose_b=True)
    return inputs.query + inputs.content_bias, inputs.key, inputs.value, shift_to_keys(products)


def _input_gradients(inputs: AttentionInputs, gradients: Sequence[tf.Tensor]) -> AttentionInputs:
    """Turn the kernel's gradients of query, key, value and bias into those of the inputs."""
    content, key, value, bias = gradients
    products = shift_to_positions(bias)
    position = tf.matmul(products, inputs.relative_key)
    position_query = inputs.query + inputs.position_bias
    relative_key = tf.matmul(products, position_query, transpose_a=True)
    return AttentionInputs(
        query=content + position,
        key=key,
        value=value,
        relative_key=tf.reduce_sum(relative_key, axis=0, keepdims=True),
        content_bias=tf.reduce_sum(content, axis=[0, 2], keepdims=True),
        position_bias=tf.reduce_sum(position, axis=[0, 2], keepdims=True),
    )


class Saved(NamedTuple):
    """The tensors that the backward pass of `Kernel.attend` takes from its forward pass.

    Attributes:
        query: `[batch, heads, queries, key_size]`.
        key: `[batch, heads, keys, key_size]`.
        value: `[batch, heads, keys, value_size]`.
        bias: `[batch, heads, queries, keys]`.
        output: `[batch, heads, queries, value_size]`.
        log_total: Logarithm of each query's normaliser, float32 `[batch, heads, queries]`.
    """

    query: tf.Tensor
    key: tf.Tensor
    value: tf.Tensor
    bias: tf.Tensor
    output: tf.Tensor
    log_total: tf.Tensor


class Kernel(Protocol):
    """Compute `softmax(query key^T + bias) value` and its gradients."""

    def attend(
        self, query: tf.Tensor, key: tf.Tensor, value: tf.Tensor, bias: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the output and the logarithm of each query's normaliser, see `Saved`."""

    def gradient(self, saved: Saved, upstream: tf.Tensor) -> Sequence[tf.Tensor]:
        """Return the gradients of query, key, value and bias."""


def choose_kernel(dtype: tf.DType) -> Kernel:
    """Return cuDNN's kernel where the program that is being traced may call it.

    It needs a program that XLA compiles for a GPU of compute capability 8.0 or later, and bfloat16
    or float16. Otherwise return a reference that computes the same with TensorFlow's operations.

    Args:
        dtype: Type of query, key, value and bias.
    """
    capability = device.compute_capability()
    if dtype not in _HALF_TYPES or not is_in_one_program() or capability is None:
        return Reference()
    if capability < _FIRST_CAPABILITY:
        return Reference()
    return CudnnKernel(takes_unequal_sizes=capability >= _UNEQUAL_SIZES_CAPABILITY)


class Reference:
    """Compute the kernel's results in float32 with TensorFlow's operations."""

    def attend(
        self, query: tf.Tensor, key: tf.Tensor, value: tf.Tensor, bias: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """See `Kernel.attend`."""
        logits = _logits(query, key, bias)
        log_total = tf.reduce_logsumexp(logits, axis=-1)
        weights = tf.exp(logits - log_total[..., tf.newaxis])
        return tf.cast(weights @ tf.cast(value, tf.float32), value.dtype), log_total

    def gradient(self, saved: Saved, upstream: tf.Tensor) -> Sequence[tf.Tensor]:
        """See `Kernel.gradient`."""
        query, key, value, bias, output, log_total = saved
        wide_query, wide_key, wide_value, wide_output, wide_upstream = (
            tf.cast(x, tf.float32) for x in (query, key, value, output, upstream)
        )
        weights = tf.exp(_logits(query, key, bias) - log_total[..., tf.newaxis])
        centre = tf.reduce_sum(wide_output * wide_upstream, axis=-1, keepdims=True)
        bias_gradient = weights * (tf.matmul(wide_upstream, wide_value, transpose_b=True) - centre)
        gradients = (
            bias_gradient @ wide_key,
            tf.matmul(bias_gradient, wide_query, transpose_a=True),
            tf.matmul(weights, wide_upstream, transpose_a=True),
            bias_gradient,
        )
        return [tf.cast(x, query.dtype) for x in gradients]


def _logits(query: tf.Tensor, key: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
    query, key, bias = (tf.cast(x, tf.float32) for x in (query, key, bias))
    return tf.matmul(query, key, transpose_b=True) + bias


class CudnnKernel:
    """Emit the calls of cuDNN's fused attention into a program that XLA compiles for a GPU.

    Args:
        takes_unequal_sizes: Whether values may be wider than keys, as on Hopper and later. If not,
            values are split into parts of at most 128, and keys are padded to the same size.
    """

    def __init__(self, *, takes_unequal_sizes: bool) -> None:
        self.takes_unequal_sizes = takes_unequal_sizes

    def attend(
        self, query: tf.Tensor, key: tf.Tensor, value: tf.Tensor, bias: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """See `Kernel.attend`."""
        results = [
            _call_forward(self._pad(query, part), self._pad(key, part), part, bias)
            for part in self._split(value, key)
        ]
        return tf.concat([output for output, _ in results], axis=-1), results[0][1]

    def gradient(self, saved: Saved, upstream: tf.Tensor) -> Sequence[tf.Tensor]:
        """See `Kernel.gradient`; gradients of query, key and bias add up over the parts."""
        query, key, value, bias, output, log_total = saved
        parts = self._split(value, key)
        widths = [part.shape[-1] for part in parts]
        outputs, upstreams = (tf.split(x, widths, axis=-1) for x in (output, upstream))
        results = [
            _call_backward(
                Saved(self._pad(query, part), self._pad(key, part), part, bias, out, log_total), up
            )
            for part, out, up in zip(parts, outputs, upstreams, strict=True)
        ]
        queries, keys, values, biases = zip(*results, strict=True)
        size = key.shape[-1]
        return [
            tf.add_n(queries)[..., :size],
            tf.add_n(keys)[..., :size],
            tf.concat(values, axis=-1),
            tf.add_n(biases),
        ]

    def _split(self, value: tf.Tensor, key: tf.Tensor) -> list[tf.Tensor]:
        size = value.shape[-1]
        if self.takes_unequal_sizes or size == key.shape[-1]:
            return [value]
        return tf.split(value, -(-size // _LARGEST_EQUAL_SIZE), axis=-1)

    def _pad(self, x: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
        missing = value.shape[-1] - x.shape[-1]
        if self.takes_unequal_sizes or missing <= 0:
            return x
        return tf.pad(x, [[0, 0], [0, 0], [0, 0], [0, missing]])


# The call of the kernel, as XLA's GPU compiler knows it.


_FORWARD_PRODUCTS = {"bmm1_dot_dimension_numbers": (3, 3), "bmm2_dot_dimension_numbers": (3, 2)}
_BACKWARD_PRODUCTS = {
    "bmm1_grad_gemm1_dot_dimension_numbers": (2, 2),
    "bmm1_grad_gemm2_dot_dimension_numbers": (3, 2),
    "bmm2_grad_gemm1_dot_dimension_numbers": (2, 2),
    "bmm2_grad_gemm2_dot_dimension_numbers": (3, 3),
}


def _call_forward(
    query: tf.Tensor, key: tf.Tensor, value: tf.Tensor, bias: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    output_shape = [*query.shape[:-1], value.shape[-1]]
    output, log_total, _workspace = _call(
        "__cudnn$fmhaScaleBiasSoftmax",
        [query, key, value, bias],
        [(query.dtype, output_shape), (tf.float32, query.shape[:-1]), (tf.uint8, [0])],
        _backend_config(bias, _FORWARD_PRODUCTS),
    )
    return output, log_total


def _call_backward(saved: Saved, upstream: tf.Tensor) -> tuple[tf.Tensor, ...]:
    query, key, value, bias, output, log_total = saved
    *gradients, _workspace = _call(
        "__cudnn$fmhaScaleBiasSoftmaxBackward",
        [query, key, value, log_total, upstream, bias, output],
        [*((x.dtype, x.shape) for x in (query, key, value, bias)), (tf.uint8, [0])],
        _backend_config(bias, _BACKWARD_PRODUCTS),
    )
    return tuple(gradients)


def _call(
    target: str,
    operands: Sequence[tf.Tensor],
    results: Sequence[tuple[tf.DType, Sequence[int]]],
    backend_config: str,
) -> list[tf.Tensor]:
    return gen_xla_ops.xla_custom_call_v2(
        operands=operands,
        call_target_name=target,
        backend_config=backend_config,
        has_side_effect=False,
        result_dtypes=[dtype for dtype, _ in results],
        result_shapes=[shape for _, shape in results],
    )


def _backend_config(bias: tf.Tensor, products: dict[str, tuple[int, int]]) -> str:
    """Describe the call in the JSON form of XLA's `GpuBackendConfig`."""
    attention = {
        "algorithm": {
            "algo_id": "0",
            "math_type": "TENSOR_OP_MATH",
            "tuning_knobs": {"17": "1", "24": "0"},
            "is_cudnn_frontend": True,
            "workspace_size": "0",
        },
        "fmha_scale": 1.0,
        "intermediate_tensor_shape": {
            "element_type": _HALF_TYPES[bias.dtype],
            "dimensions": [str(n) for n in bias.shape],
            "tuple_shapes": [],
            "layout": {"minor_to_major": ["3", "2", "1", "0"]},
            "is_dynamic_dimension": [False] * 4,
        },
        "is_flash_attention": True,
        "mask_type": "NO_MASK",
        "dropout_rate": 0.0,
        "seed": 0,
        "sliding_window_length": 0,
        "max_seg_per_batch": 1,
        "is_paged_attention": False,
    }
    for name, (left, right) in products.items():
        attention[name] = {
            "lhs_contracting_dimensions": [str(left)],
            "rhs_contracting_dimensions": [str(right)],
            "lhs_batch_dimensions": ["0", "1"],
            "rhs_batch_dimensions": ["0", "1"],
        }
    return json.dumps({"operation_queue_id": "0", "cudnn_fmha_backend_config": attention})
