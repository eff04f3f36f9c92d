"""Write a SavedModel with known predictions: counts of bases, and places of bins."""

import numpy as np
import pandas as pd
import tensorflow as tf

SEQUENCE_LENGTH_BP = 2_048
TARGET_LENGTH = 8
TRACKS = ("A", "C", "G", "T", "place", "context")
"""Tracks of a bin: the number of each base, the bin's place, and the window's known bases."""


def write_model(folder, *, is_finite=True):
    root = tf.Module()
    root.model = tf.Module()
    num_tokens = SEQUENCE_LENGTH_BP // 128
    first = (num_tokens - TARGET_LENGTH) // 2

    def predict_on_batch(x):
        counts = tf.reduce_sum(tf.reshape(x, [-1, num_tokens, 128, 4]), axis=2)
        counts = counts[:, first : first + TARGET_LENGTH]
        place = tf.ones_like(counts[..., :1]) * tf.range(TARGET_LENGTH * 1.0)[:, tf.newaxis]
        context = tf.ones_like(place) * tf.reduce_sum(x, axis=[1, 2])[:, tf.newaxis, tf.newaxis]
        if not is_finite:
            context /= 0.0
        return {"human": tf.concat([counts, place, context], axis=-1)}

    signature = [tf.TensorSpec([None, SEQUENCE_LENGTH_BP, 4], tf.float32)]
    root.model.predict_on_batch = tf.function(predict_on_batch, input_signature=signature)
    tf.saved_model.save(root, str(folder))
    return folder


def write_targets(path, *, with_strands=False):
    table = pd.DataFrame(
        {
            "identifier": TRACKS,
            "file": [f"{name}.w5" for name in TRACKS],
            "clip": 32,
            "scale": 1,
            "sum_stat": "sum",
            "description": [*(f"CAGE:{name}" for name in "ACGT"), "DNASE:place", "ATAC:context"],
        }
    )
    if with_strands:
        table["strand_pair"] = [3, 2, 1, 0, 4, 5]
    table.to_csv(path, sep="\t", index_label="index")
    return path


def write_genome(path, lengths_bp):
    generator = np.random.default_rng(1)
    with path.open("w") as fasta:
        for name, length_bp in lengths_bp.items():
            letters = "".join(
                generator.choice(list("ACGTN"), length_bp, p=[0.3, 0.2, 0.2, 0.2, 0.1])
            )
            fasta.write(f">{name}\n")
            fasta.writelines(f"{letters[i : i + 50]}\n" for i in range(0, length_bp, 50))
    return path


def letters_of(path, chromosome):
    text = path.read_text().split(f">{chromosome}\n")[1].split(">")[0]
    return text.replace("\n", "")
