import numpy as np
import tensorflow as tf

from senformer.model.compute.recomputation import Memory, recompute


def make_variables():
    generator = tf.random.Generator.from_seed(0)
    return [tf.Variable(generator.normal([4, 4])) for _ in range(2)]


def block(variables):
    return lambda x, _: tf.tanh(x @ variables[0]) @ variables[1]


def gradients(variables, trained, run):
    x = tf.reshape(tf.range(8.0), [2, 4]) / 8
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.reduce_sum(run(x) ** 2)
    return tape.gradient(y, [x, *trained])


def test_gradients_equal_those_of_what_is_kept():
    variables = make_variables()
    kept = gradients(variables, variables, lambda x: block(variables)(x, Memory()))
    for function in (lambda f: f, tf.function):
        run = function(lambda x: recompute(block(variables), x, variables))
        for ours, expected in zip(gradients(variables, variables, run), kept, strict=True):
            np.testing.assert_allclose(ours, expected, rtol=1e-6)


def test_only_trained_variables_get_a_gradient():
    variables = make_variables()
    run = tf.function(lambda x: recompute(block(variables), x, variables[:1]))
    _, first, second = gradients(variables, variables, run)
    assert first is not None
    assert second is None


def test_the_block_is_told_that_it_runs_again():
    seen = []

    def watched(x, memory):
        seen.append(memory.is_again)
        return x * 2.0

    with tf.GradientTape() as tape:
        x = tf.ones([2])
        tape.watch(x)
        y = recompute(watched, x, [])
    np.testing.assert_array_equal(tape.gradient(y, x), [2, 2])
    assert seen == [False, True]


def test_a_frozen_input_still_gives_the_variables_their_gradients():
    variables = make_variables()
    x = tf.ones([2, 4])

    @tf.function
    def step():
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            y = tf.reduce_sum(recompute(block(variables), x, variables))
        return tape.gradient(y, variables)

    assert all(np.abs(g.numpy()).max() > 0 for g in step())


def test_an_input_that_nothing_trained_made_gets_no_gradient_and_costs_none():
    variables = make_variables()
    asked = []

    @tf.custom_gradient
    def watched(x):
        def gradient(upstream):
            asked.append(upstream)
            return upstream

        return tf.identity(x), gradient

    def run(x, input_is_trained):
        return recompute(
            lambda x, memory: block(variables)(watched(x), memory),
            x,
            variables,
            input_is_trained=input_is_trained,
        )

    def step(input_is_trained):
        return gradients(variables, variables, lambda x: run(x, input_is_trained))

    for make in (lambda f: f, tf.function):
        of_input, *expected = make(lambda: step(True))()
        assert of_input is not None
        assert len(asked) == 1
        of_input, *ours = make(lambda: step(False))()
        assert of_input is None
        assert len(asked) == 1
        for g, e in zip(ours, expected, strict=True):
            np.testing.assert_array_equal(g, e)
        asked.clear()


def test_what_is_kept_is_computed_once():
    x, computed = tf.ones([2]), []

    def square(x):
        computed.append(x)
        return [x**2]

    def remembering(x, memory):
        [squared] = memory.keep(lambda: square(x))
        [shifted] = memory.keep(lambda: square(x + 1.0))
        return x * tf.stop_gradient(squared + shifted)

    with tf.GradientTape() as tape:
        tape.watch(x)
        y = recompute(remembering, x, [])
    np.testing.assert_array_equal(tape.gradient(y, x), [5, 5])
    assert len(computed) == 2


def test_a_repetition_can_be_repeated():
    memory = Memory()
    memory.keep(lambda: [tf.constant(3)])
    for _ in range(2):
        [kept] = memory.again(after=tf.constant(0)).keep(lambda: [tf.constant(4)])
        assert kept == 3


def test_a_kept_value_passes_the_gradient_of_what_it_stands_for():
    x = tf.constant([1.0, 2.0])

    def block(x, memory):
        return memory.keep_value(x**2) ** 2

    with tf.GradientTape() as tape:
        tape.watch(x)
        y = recompute(block, x, [])
    np.testing.assert_allclose(tape.gradient(y, x), 4 * x**3)


def test_what_is_computed_again_from_the_memory_waits_for_the_gradient():
    def block(x, memory):
        [kept] = memory.keep(lambda: [x * 2.0])
        return tf.tanh(kept, name="from_the_memory") * x

    @tf.function
    def run(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.identity(recompute(block, x, []), name="whole_forward_pass")
        return tape.gradient(y, x, output_gradients=tf.ones_like(y, name="upstream"))

    graph = run.get_concrete_function(tf.TensorSpec([2])).graph
    _, repeated = sorted(
        (op for op in graph.get_operations() if "from_the_memory" in op.name),
        key=lambda op: op.name,
    )
    assert any("upstream" in op.name for op in repeated.inputs[0].op.control_inputs)
