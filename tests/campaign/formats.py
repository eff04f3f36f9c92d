"""Every format that is read: a good file, its reader, and which other files are legal.

`legal` is strict: what was read is what the damaged file says, told by a few lines of its own here,
and it is a file that could be right. A base may be another, a description too, and records may come
in another order; a digest, a checksum or another file would have to tell.
"""

import gzip
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import damages
import numpy as np
import pandas as pd
import small_records
import tensorflow as tf
from Bio import bgzf
from hypothesis import strategies as st
from safetensors.numpy import save_file

from senformer.config import ModelConfig, preset
from senformer.data import datasets, genome, opening, records, tracks
from senformer.model import foreign_weights
from senformer.model.checkpoints import named_variables
from senformer.model.enformer import Enformer
from senformer.report import results
from senformer.workflow import notebooks
from senformer.workflow.parameters import expect_parameters

Legal = Callable[[str, bytes, Any], bool]


@dataclass
class Format:
    """A file of a good set of files.

    Attributes:
        file: What is damaged.
        read: The reader of the set.
        damage: Strategy of what was done and the damaged bytes.
        is_legal: Of what was done, the damaged bytes and what was read.
        made: Files beside it that readers write; they are removed before each reading.
        called: What else an error may call it by.
    """

    file: Path
    read: Callable[[], Any]
    damage: st.SearchStrategy[damages.Damage]
    is_legal: Legal = lambda done, damaged, found: False
    made: tuple[Path, ...] = ()
    called: tuple[str, ...] = ()


# ------------------------------------------------------------------------------------------ records


def data_set(folder: Path) -> Path:
    """Ten records of two splits; see `small_records`."""
    return small_records.write_basenji2(folder / "data") / "human"


def read_data_set(human: Path) -> dict[str, Any]:
    folder = opening.open_folders(human.parent)["human"]
    found = {"targets": folder.targets, "intervals": folder.intervals}
    for split in folder.splits:
        examples = list(
            datasets.examples(folder, split, sequence_length_bp=folder.sequence_length_bp)
        )
        for key in ("sequence", "target", "row"):
            found[f"{split} {key}"] = np.stack([np.asarray(example[key]) for example in examples])
    return found


def _of_records(file: Path) -> st.SearchStrategy[damages.Damage]:
    """Records that are whole and say what no record says, or are not those that are due."""
    good = list(records.read(file))
    layout = records.Layout(
        "basenji2", small_records.TOKENS * small_records.BIN, small_records.BINS, 3
    )
    arrays = [records.decode(records.Record(data, file, 0), layout) for data in good]

    def serialized(bases, values):
        return records.serialize(np.eye(5, dtype=bool)[bases][:, :4], values)

    def written(done, data):
        scratch = file.with_suffix(".scratch")
        records.write(scratch, data)
        return done, scratch.read_bytes()

    def with_value(value, i, place):
        bases, values = arrays[i]
        values = values.copy()
        values.reshape(-1)[place % values.size] = value
        is_count = np.isfinite(value) and value >= 0
        done = f"{'another' if is_count else 'no'} value: {value}"
        return written(done, [*good[:i], serialized(bases, values), *good[i + 1 :]])

    def with_byte(byte, i, place):
        bases, values = arrays[i]
        one_hot = np.eye(5, dtype=np.uint8)[bases][:, :4]
        one_hot.reshape(-1)[place % one_hot.size] = byte
        rows = one_hot[place % one_hot.size // 4]
        done = "another base" if rows.sum() <= 1 else "no base"
        return written(done, [*good[:i], records.serialize(one_hot, values), *good[i + 1 :]])

    def with_features(features):
        feature = {
            name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
            for name, value in features.items()
        }
        example = tf.train.Example(features=tf.train.Features(feature=feature))
        return written(f"features {list(features)}", [example.SerializeToString(), *good[1:]])

    sequence, target = records.parse(good[0], file)
    number, place = st.integers(0, len(good) - 1), st.integers(0, 10**6)
    return st.one_of(
        st.builds(with_value, st.sampled_from([np.nan, np.inf, -1.0, 0.5]), number, place),
        st.builds(with_byte, st.sampled_from([0, 1, 2, 255]), number, place),
        number.map(lambda i: written(f"record {i} removed", good[:i] + good[i + 1 :])),
        number.map(lambda i: written(f"record {i} doubled", good[: i + 1] + good[i:])),
        st.sampled_from(
            [
                written("another order", good[::-1]),
                written("no record", []),
                written("no example", [b"\xff\xff", *good[1:]]),
                written("empty examples", [b"" for _ in good]),
                with_features({"sequence": sequence}),
                with_features({"target": target, "sequence": target}),
                with_features({"target": target[:-2], "sequence": sequence}),
                with_features({"target": target + b"0", "sequence": sequence}),
                with_features({"target": target * 2, "sequence": sequence}),
                with_features({"target": target, "sequence": sequence[:-4]}),
                with_features({"target": sequence, "sequence": target}),
            ]
        ),
    )


def _is_another_record(done: str, damaged: bytes, found: Any) -> bool:
    return done.startswith("another")


def tfrecords(folder: Path) -> Format:
    human = data_set(folder)
    file = human / "tfrecords/train-1.tfr"
    damage = st.one_of(damages.of_bytes(file.read_bytes()), _of_records(file))
    return Format(file, lambda: read_data_set(human), damage, _is_another_record)


# ------------------------------------------------------------------------------------------- tables


def targets(folder: Path) -> Format:
    human = data_set(folder)
    file = human / "targets.txt"
    table = pd.read_csv(file, sep="\t")
    table["strand_pair"] = [1, 0, 2]
    table.to_csv(file, sep="\t", index=False)
    good = file.read_bytes()
    damage = st.one_of(
        damages.of_bytes(good), damages.of_text(good), damages.of_table(good, "\t", 1)
    )

    def read() -> pd.DataFrame:
        return opening.open_folders(human.parent)["human"].targets

    return Format(file, read, damage, _is_another_targets_table)


def _is_another_targets_table(done: str, damaged: bytes, found: pd.DataFrame) -> bool:
    """Names and descriptions may be others, and so may positive numbers; each as it is written."""
    head, *rows = [line.split("\t") for line in damaged.decode().split("\n") if line]
    stands = pd.DataFrame(rows, columns=head).set_index(head[0])
    texts = all(
        stands[name].tolist() == found[name].tolist() and all(found[name].map(str.isprintable))
        for name in ("identifier", "file", "sum_stat", "description")
    )
    numbers = all(
        (stands[name].astype(float).to_numpy() == found[name].to_numpy()).all()
        and (found[name] > 0).all()
        for name in ("clip", "scale")
    )
    pairs = "strand_pair" in found and sorted(found["strand_pair"]) == list(found.index)
    is_known = found["sum_stat"].isin(tracks._SUM_STATS).all()
    return texts and numbers and pairs and is_known and list(found.index) == [0, 1, 2]


def statistics(folder: Path) -> Format:
    human = data_set(folder)
    file = human / "statistics.json"
    good = file.read_bytes()
    damage = st.one_of(damages.of_bytes(good), damages.of_text(good), damages.of_json(good))

    def read() -> dict[str, Any]:
        found = opening.open_folders(human.parent)["human"]
        return {"layout": found.layout, "pool_width_bp": found.pool_width_bp}

    return Format(file, read, damage)


def intervals(folder: Path) -> Format:
    human = data_set(folder)
    file = human / "sequences.bed"
    good = file.read_bytes()
    damage = st.one_of(
        damages.of_bytes(good), damages.of_text(good), damages.of_table(good, "\t", 0)
    )

    def read() -> list[tuple[Any, ...]]:
        found = opening.open_folders(human.parent)["human"].intervals
        return list(found.itertuples(index=False, name=None))

    return Format(file, read, damage, _are_other_intervals)


def _are_other_intervals(done: str, damaged: bytes, found: list[tuple[Any, ...]]) -> bool:
    """Other intervals as wide, each once, or the same in another order: records name no place."""
    rows = [line.split("\t") for line in damaged.decode("utf-8-sig").splitlines() if line]
    stands = [(chrom, int(start), int(end), split) for chrom, start, end, split in rows]
    is_possible = all(
        end - start == small_records.TOKENS * small_records.BIN
        and start >= 0
        and split in ("train", "test")
        and chrom.isascii()
        and chrom.isprintable()
        and " " not in chrom
        for chrom, start, end, split in stands
    )
    splits = sorted(split for *_, split in stands)
    return (
        is_possible
        and found == stands
        and len(set(stands)) == 10
        and splits == ["test"] * 3 + ["train"] * 7
    )


# ------------------------------------------------------------------------------------------- genome

GENOME = ">chr1 the first\nACGTNACG\nacgtnacg\nRYAC\n>chr2\nTTTTGCAT\n>chr3\nGATTACAG\nATTACAGA\n"


def _read_genome(path: Path) -> dict[str, np.ndarray]:
    with genome.open_fasta(path) as fasta:
        return {
            name: genome.fetch_one_hot(fasta, name, 0, len(fasta[name]))
            for name in sorted(fasta.keys())  # an index may list them in any order
        }


def _is_another_genome(done: str, damaged: bytes, found: dict[str, np.ndarray]) -> bool:
    """Other bases or names, in lines as long as each other but for the last of a sequence."""
    stands: dict[str, list[str]] = {}
    lines = damaged.decode("ascii").replace("\r\n", "\n").split("\n")
    while lines and (lines[0].startswith(";") or not lines[0].strip()):
        lines.pop(0)
    for line in lines:
        if line.startswith(">"):
            name = line[1:].split()[0]
            assert name not in stands
            of_name = stands[name] = []
        elif line:
            of_name.append(line)
    for of_name in stands.values():
        longest = len(of_name[0]) if of_name else 0
        if any(len(line) != longest for line in of_name[:-1]) or len(of_name[-1:] * longest) < 0:
            return False
        if not set("".join(of_name)) <= set("ACGTURYSWKMBDHVNacgturyswkmbdhvn-.*"):
            return False
    encoded = {name: genome.one_hot("".join(of_name)) for name, of_name in stands.items()}
    return set(encoded) == set(found) and all((encoded[n] == found[n]).all() for n in encoded)


def _genome(folder: Path, ending: str = "") -> tuple[Path, Path, Path]:
    path = folder / f"genome.fa{ending}"
    if ending:
        with bgzf.BgzfWriter(str(path)) as writer:
            for start in range(0, len(GENOME), 25):
                writer.write(GENOME[start : start + 25])
                writer.flush()
    else:
        path.write_text(GENOME)
    return path, Path(f"{path}.fai"), Path(f"{path}.gzi")


def _of_fasta(good: bytes) -> st.SearchStrategy[damages.Damage]:
    return st.one_of(damages.of_bytes(good), damages.of_text(good), damages.of_table(good, "\n", 0))


def fasta(folder: Path) -> Format:
    path, fai, _ = _genome(folder)
    damage = _of_fasta(path.read_bytes())
    return Format(path, lambda: _read_genome(path), damage, _is_another_genome, (fai,))


def fasta_of_an_older_index(folder: Path) -> Format:
    path, _, _ = _genome(folder)
    _read_genome(path)
    damage = _of_fasta(path.read_bytes())
    return Format(path, lambda: _read_genome(path), damage, _is_another_genome)


def fasta_index(folder: Path) -> Format:
    path, fai, _ = _genome(folder)
    _read_genome(path)
    good = fai.read_bytes()
    damage = st.one_of(
        damages.of_bytes(good), damages.of_text(good), damages.of_table(good, "\t", 0)
    )
    return Format(fai, lambda: _read_genome(path), damage)


def compressed_fasta(folder: Path) -> Format:
    path, fai, gzi = _genome(folder, ".gz")
    damage = damages.of_bytes(path.read_bytes())

    def is_another_genome(done: str, damaged: bytes, found: Any) -> bool:  # a whole block more
        return _is_another_genome(done, gzip.decompress(damaged), found)

    return Format(path, lambda: _read_genome(path), damage, is_another_genome, (fai, gzi))


def block_index(folder: Path) -> Format:
    path, _, gzi = _genome(folder, ".gz")
    _read_genome(path)
    return Format(gzi, lambda: _read_genome(path), damages.of_bytes(gzi.read_bytes()))


# ------------------------------------------------------------------------------------------ weights

CONFIG = preset("enformer_tiny", num_transformer_layers=1, target_length=32, tracks={"human": 3})


def _small_model(attention: str = "dense") -> Enformer:
    model = Enformer(CONFIG.replace(attention=attention), seed=0)
    for number, variable in enumerate(model.variables):  # no two alike
        variable.assign_add(tf.cast(tf.fill(variable.shape, 1 + number % 7), variable.dtype))
    return model


def _without_making_models(load: Callable[[], Enformer]) -> Enformer:
    """Load weights into models that are kept by their config: most of the time is making them."""

    def kept(config: ModelConfig) -> Enformer:
        key = repr(config)
        if key not in _MODELS:
            _MODELS[key] = Enformer(config)
        return _MODELS[key]

    with patch.object(foreign_weights, "Enformer", kept):
        return load()


_MODELS: dict[str, Enformer] = {}


def _weights(model: Enformer) -> dict[str, np.ndarray]:
    return {name: variable.numpy() for name, variable in named_variables(model).items()}


def _sonnet(folder: Path, ending: str) -> Format:
    model = _small_model()
    prefix = folder / "checkpoint"
    suffix = "/.ATTRIBUTES/VARIABLE_VALUE"
    names, values = zip(
        *(
            (foreign_weights._sonnet_name(name) + suffix, variable)
            for name, variable in named_variables(model).items()
        ),
        strict=True,
    )
    tf.raw_ops.SaveV2(
        prefix=str(prefix),
        tensor_names=list(names),
        shape_and_slices=[""] * len(names),
        tensors=[value.read_value() for value in values],
    )
    file = Path(f"{prefix}{ending}")
    load = partial(foreign_weights.load_sonnet, prefix, CONFIG)
    damage = damages.of_bytes(file.read_bytes())
    return Format(file, lambda: _weights(_without_making_models(load)), damage)


def sonnet_index(folder: Path) -> Format:
    return _sonnet(folder, ".index")


def sonnet_values(folder: Path) -> Format:
    return _sonnet(folder, ".data-00000-of-00001")


def safetensors(folder: Path) -> Format:
    arrays = {
        foreign_weights._enformer_pytorch_name(name): np.ascontiguousarray(
            variable.numpy().T, dtype=np.int64 if name.endswith("counter") else np.float32
        )
        for name, variable in named_variables(_small_model()).items()
    }
    arrays.pop(None)
    file = folder / "model.safetensors"
    save_file(arrays, file)
    good = file.read_bytes()
    head = 8 + int.from_bytes(good[:8], "little")

    def in_head(damage):
        done, damaged = damage
        return done, damaged + good[head:]

    def read() -> dict[str, np.ndarray]:
        load = partial(foreign_weights.load_enformer_pytorch, file, CONFIG, use_tf_gamma=True)
        return _weights(_without_making_models(load))

    damage = st.one_of(damages.of_bytes(good), damages.of_bytes(good[:head]).map(in_head))
    return Format(file, read, damage, lambda *arguments: _are_other_values(*arguments, good, head))


def _are_other_values(done: str, damaged: bytes, found: Any, good: bytes, head: int) -> bool:
    """Weights that are finite, in a file whose head is as it was: it has no checksum of them."""
    is_same_head = len(damaged) == len(good) and damaged[:head] == good[:head]
    return is_same_head and all(np.isfinite(array).all() for array in found.values())


def _published(folder: Path, name: str, damage: Callable[[bytes], Any]) -> Format:
    model = _small_model("bigbird")
    config = model.config
    variables = named_variables(model)
    description = {
        "channels": config.channels,
        "num_transformer_layers": config.num_transformer_layers,
        "num_heads": config.num_heads,
        "pooling_type": config.pooling,
        "target_length": config.target_length,
        "heads": config.tracks,
        "block_size": config.block_size,
        "num_rand_blocks": config.num_random_blocks,
        "variables": [{"name": name, "index": index} for index, name in enumerate(variables)],
    }
    (folder / "config.json").write_text(small_records.json.dumps(description))
    np.savez(
        folder / "variables.npz",
        **{f"v{index:03d}": value.numpy() for index, value in enumerate(variables.values())},
    )
    drawn = np.arange(1 * config.num_heads * 14 * config.num_random_blocks, dtype=np.int32) % 16
    np.savez(
        folder / "forward.npz",
        rand_attn=drawn.reshape(1, config.num_heads, 14, config.num_random_blocks),
    )
    file = folder / name

    def read() -> dict[str, Any]:
        load = partial(foreign_weights.load_published_senformer, folder)
        found = _without_making_models(load)
        blocks = [block.attention.fixed_random_blocks for block in found.transformer]
        return {"config": found.config, **_weights(found), "random blocks": blocks}

    return Format(file, read, damage(file.read_bytes()), _is_another_model)


def _is_another_model(done: str, damaged: bytes, found: Any) -> bool:
    """One that predicts another number of bins, which no weight tells, all else the same."""
    config = found["config"]
    return config.replace(target_length=CONFIG.target_length) == CONFIG.replace(attention="bigbird")


def published_config(folder: Path) -> Format:
    return _published(
        folder, "config.json", lambda good: st.one_of(damages.of_bytes(good), damages.of_json(good))
    )


def published_values(folder: Path) -> Format:
    return _published(folder, "variables.npz", damages.of_bytes)


def published_blocks(folder: Path) -> Format:
    return _published(folder, "forward.npz", damages.of_bytes)


# --------------------------------------------------------------------------------------- parameters


def profile(folder: Path) -> Format:
    (folder / "mine").mkdir()
    file = folder / "mine" / "finetuning.yaml"
    file.write_text(
        "# A comment.\nenformer_preset: enformer_tiny\nenformer_steps: 30\n"
        "enformer_learning_rate: 1.0e-3\nsequence_length_bp: 32768\ntarget_length: 192\n"
        "senformer_steps: 40\nnum_evaluations: 3\nnum_validation_sequences: 8\n"
    )
    good = file.read_bytes()
    damage = st.one_of(
        damages.of_bytes(good), damages.of_text(good), damages.of_table(good, ": ", 1)
    )

    def read() -> dict[str, Any]:
        with patch.object(notebooks, "PROFILES", folder):
            return notebooks.profile_parameters("mine", "finetuning")

    def read_and_checked() -> dict[str, Any]:
        found = read()
        try:
            expect_parameters({**notebooks.default_parameters("finetuning"), **found})
        except ValueError as error:  # it names the parameter, which is enough
            raise ValueError(f"{file}: {error}") from None
        return found

    called = ("profile 'mine'", "profiles/mine/finetuning.yaml")
    return Format(file, read_and_checked, damage, _are_other_parameters, called=called)


def _are_other_parameters(done: str, damaged: bytes, found: dict[str, Any]) -> bool:
    """Parameters that are left out, or have values as they are written that could be meant."""
    stands = {}
    for line in damaged.decode("utf-8-sig").splitlines():
        line = re.sub(r"(^|\s)#.*", "", line).strip()
        if line:
            name, value = re.fullmatch(r"\"?'?(\w+)\"?'?\s*:(?:\s+(\S+))?", line).groups("")
            stands[name] = value.strip("\"'")
    is_as_written = set(stands) == set(found) and all(
        found[name] == stands[name]
        if isinstance(found[name], str)
        else found[name] is None
        if stands[name] in ("", "null", "~")
        else float(stands[name]) == found[name]
        for name in stands
    )
    lengths = {"sequence_length_bp": 32_768, "target_length": 192, **found}
    return (
        is_as_written
        and all(0 <= value < math.inf for value in found.values() if isinstance(value, int | float))
        and lengths["sequence_length_bp"] % 2048 == 0
        and 1 <= lengths["target_length"] <= lengths["sequence_length_bp"] // 128
        and found.get("enformer_preset", "enformer") in ("enformer", "enformer_tiny")
    )


# ------------------------------------------------------------------------------------------ results


def result_table(folder: Path) -> Format:
    rows = {"track_type": ["CAGE", "RNA", "Other"], "pearson_r": [0.1 + 0.2, np.nan, -1.0]}
    frame = pd.DataFrame({**rows, "num_tracks": [1, 2, 3]})
    provenance = dict.fromkeys(results.PROVENANCE_KEYS, "x") | {"parameters": {"steps": 3}}
    file = results.write(frame, folder / "table.csv", provenance)
    good = file.read_bytes()
    damage = st.one_of(
        damages.of_bytes(good), damages.of_text(good), damages.of_table(good, ",", 2)
    )
    return Format(file, lambda: results.read(file), damage)
