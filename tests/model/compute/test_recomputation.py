import numpy as np
import pytest
import tensorflow as tf

from senformer.model.compute.recomputation import Residuals, recompute


def make_variables():
    generator = tf.random.Generator.from_seed(0)
    return [tf.Variable(generator.normal([4, 4])) for _ in range(2)]


def block(variables):
    return lambda x, _: tf.tanh(x @ variables[0]) @ variables[1]


def gradients(variables, run):
    x = tf.reshape(tf.range(8.0), [2, 4]) / 8
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.reduce_sum(run(x) ** 2)
    return tape.gradient(y, [x, *variables])


def gradient_of_recomputed(block, x):
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = recompute(block, x, [])
    return tape.gradient(y, x)


@pytest.mark.parametrize("wrap", [lambda f: f, tf.function], ids=["eager", "graph"])
def test_recompute_gives_the_plain_gradients(wrap):
    variables = make_variables()
    expected = gradients(variables, lambda x: block(variables)(x, Residuals()))
    run = wrap(lambda x: recompute(block(variables), x, variables))
    for found, array in zip(gradients(variables, run), expected, strict=True):
        np.testing.assert_allclose(found, array, rtol=1e-6)
    run = wrap(lambda x: recompute(block(variables), x, variables[:1]))
    *_, of_untrained = gradients(variables, run)
    assert of_untrained is None


def test_recompute_trains_on_a_constant_input():
    variables = make_variables()
    x = tf.ones([2, 4])

    @tf.function
    def step():
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            y = tf.reduce_sum(recompute(block(variables), x, variables))
        return tape.gradient(y, variables)

    assert all(np.abs(g.numpy()).max() > 0 for g in step())


def test_recompute_skips_an_untrained_input():
    variables = make_variables()
    upstreams = []

    @tf.custom_gradient
    def record_upstream(x):
        def gradient(upstream):
            upstreams.append(upstream)
            return upstream

        return tf.identity(x), gradient

    def run(x, input_is_trained):
        return recompute(
            lambda x, residuals: block(variables)(record_upstream(x), residuals),
            x,
            variables,
            input_is_trained=input_is_trained,
        )

    for_input, *expected = gradients(variables, lambda x: run(x, True))
    assert for_input is not None and len(upstreams) == 1
    for_input, *found = gradients(variables, lambda x: run(x, False))
    assert for_input is None and len(upstreams) == 1
    for gradient, array in zip(found, expected, strict=True):
        np.testing.assert_array_equal(gradient, array)


def test_residuals_are_computed_once():
    computed, passes = [], []

    def square(x):
        computed.append(x)
        return [x**2]

    def block(x, residuals):
        passes.append(residuals.is_recomputing)
        [squared] = residuals.keep(lambda: square(x))
        [shifted] = residuals.keep(lambda: square(x + 1.0))
        return x * tf.stop_gradient(squared + shifted)

    np.testing.assert_array_equal(gradient_of_recomputed(block, tf.ones([2])), [5, 5])
    assert len(computed) == 2
    assert passes == [False, True]


def test_residuals_serve_several_recomputations():
    residuals = Residuals()
    residuals.keep(lambda: [tf.constant(3)])
    for _ in range(2):
        again = residuals.for_recomputation(after=tf.constant(0))
        [kept] = again.keep(lambda: [tf.constant(4)])
        assert kept == 3


def test_kept_value_passes_its_gradient():
    x = tf.constant([1.0, 2.0])
    gradient = gradient_of_recomputed(lambda x, residuals: residuals.keep_value(x**2) ** 2, x)
    np.testing.assert_allclose(gradient, 4 * x**3)


def test_recomputation_waits_for_the_gradient():
    def block(x, residuals):
        [kept] = residuals.keep(lambda: [x * 2.0])
        return tf.tanh(kept, name="from_the_residuals") * x

    @tf.function
    def run(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.identity(recompute(block, x, []), name="whole_forward_pass")
        return tape.gradient(y, x, output_gradients=tf.ones_like(y, name="upstream"))

    graph = run.get_concrete_function(tf.TensorSpec([2])).graph
    _, repeated = sorted(
        (op for op in graph.get_operations() if "from_the_residuals" in op.name),
        key=lambda op: op.name,
    )
    assert any("upstream" in op.name for op in repeated.inputs[0].op.control_inputs)
