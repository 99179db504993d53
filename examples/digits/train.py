"""Trains a small network to read handwritten digits, as an example of a job that labq runs.

It does what a good job does: says what it was given, prints a line per epoch, takes its seed from the
queue, writes everything worth keeping to the output directory, and saves a checkpoint when asked to stop.
"""

import csv
import gzip
import json
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

# One thread is what `cpus = 1` gives; more would only wait for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# A job runs as its owner, whose home may not exist in the container; matplotlib needs some place for its cache.
os.environ.setdefault("MPLCONFIGDIR", tempfile.mkdtemp(prefix="mpl-"))

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402

OUTPUT = Path(os.environ.get("LABQ_OUTPUT_DIR", "outputs"))
SEED = int(os.environ.get("LABQ_SEED", "0"))
EPOCHS = int(os.environ.get("EPOCHS", "60"))
HIDDEN, BATCH, RATE, MOMENTUM = 1024, 64, 0.01, 0.9

stop_asked = False


def ask_to_stop(_signal, _frame):
    """Notes the wish; the epoch at hand is finished first, so that the checkpoint is a whole one."""
    global stop_asked
    stop_asked = True


def load():
    """Reads 1,797 images of 8x8 pixels and splits them into training and test images, always the same way."""
    with gzip.open(Path(__file__).with_name("digits.csv.gz"), "rt") as file:
        table = np.array(list(csv.reader(file)), dtype=np.float32)
    images, labels = table[:, :-1].reshape(-1, 8, 8) / 16, table[:, -1].astype(int)
    order = np.random.default_rng(0).permutation(len(labels))
    train, test = order[:-360], order[-360:]
    return images[train], labels[train], images[test].reshape(-1, 64), labels[test]


def with_shifts(images, labels):
    """Returns each image nine times, moved by up to one pixel: a digit is the same digit a little to the left."""
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1)))
    moved = [padded[:, down : down + 8, right : right + 8] for down in range(3) for right in range(3)]
    return np.concatenate(moved).reshape(-1, 64), np.tile(labels, 9)


def forward(model, x):
    """Returns the hidden activations and the probability of each digit."""
    hidden = np.maximum(x @ model["w1"] + model["b1"], 0)
    scores = hidden @ model["w2"] + model["b2"]
    exp = np.exp(scores - scores.max(axis=1, keepdims=True))
    return hidden, exp / exp.sum(axis=1, keepdims=True)


def train_epoch(model, speed, x, labels, rng):
    """Goes through all training images once and returns the mean loss."""
    total = 0.0
    order = rng.permutation(len(labels))
    for start in range(0, len(order), BATCH):
        batch = order[start : start + BATCH]
        hidden, probability = forward(model, x[batch])
        right = probability[np.arange(len(batch)), labels[batch]]
        total -= float(np.log(right + 1e-9).sum())
        error = probability
        error[np.arange(len(batch)), labels[batch]] -= 1
        error /= len(batch)
        back = (error @ model["w2"].T) * (hidden > 0)
        slopes = {"w1": x[batch].T @ back, "b1": back.sum(0), "w2": hidden.T @ error, "b2": error.sum(0)}
        for name, slope in slopes.items():
            speed[name] = MOMENTUM * speed[name] - RATE * slope
            model[name] += speed[name]
    return total / len(order)


def new_model(rng):
    """Returns fresh weights."""
    return {
        "w1": (rng.standard_normal((64, HIDDEN)) * (2 / 64) ** 0.5).astype(np.float32),
        "b1": np.zeros(HIDDEN, np.float32),
        "w2": (rng.standard_normal((HIDDEN, 10)) * (2 / HIDDEN) ** 0.5).astype(np.float32),
        "b2": np.zeros(10, np.float32),
    }


def plot(history, confusion):
    """Draws how the training went and which digits are taken for which."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4))
    left.plot([h["loss"] for h in history], label="training loss")
    left.plot([h["accuracy"] for h in history], label="test accuracy")
    left.set_xlabel("epoch")
    left.legend()
    right.imshow(np.log1p(confusion), cmap="Blues")
    right.set(xlabel="read as", ylabel="is", xticks=range(10), yticks=range(10))
    figure.tight_layout()
    figure.savefig(OUTPUT / "plot.png", dpi=110)


def main():
    """Trains, and writes model.npz, metrics.json and plot.png; returns the exit code."""
    signal.signal(signal.SIGTERM, ask_to_stop)
    OUTPUT.mkdir(parents=True, exist_ok=True)
    gpus = os.environ.get("NVIDIA_VISIBLE_DEVICES", "none")
    simulated = os.environ.get("LABQ_GPUS_SIMULATED") == "1"
    print(f"GPUs: {gpus}" + (" (simulated: the training itself runs on the CPU)" if simulated else ""), flush=True)
    print(f"seed {SEED}, {EPOCHS} epochs, results go to {OUTPUT}", flush=True)

    images, labels, test_x, test_y = load()
    x, labels = with_shifts(images, labels)
    rng = np.random.default_rng(SEED)
    model, history = new_model(rng), []
    checkpoint = OUTPUT / "checkpoint.npz"
    if checkpoint.exists():
        saved = np.load(checkpoint)
        model = {name: saved[name] for name in model}
        history = json.loads(str(saved["history"]))
        print(f"going on from the checkpoint after epoch {len(history)}", flush=True)
    speed = {name: np.zeros_like(value) for name, value in model.items()}

    while len(history) < EPOCHS:
        began = time.monotonic()
        loss = train_epoch(model, speed, x, labels, rng)
        accuracy = float((forward(model, test_x)[1].argmax(1) == test_y).mean())
        history.append({"loss": loss, "accuracy": accuracy})
        took = time.monotonic() - began
        print(f"epoch {len(history):2}/{EPOCHS}  loss {loss:.4f}  accuracy {accuracy:.4f}  {took:.2f} s", flush=True)
        if stop_asked:
            # Beside it and renamed: killed while it saves, it leaves no half of a checkpoint.
            np.savez(OUTPUT / "new.npz", history=json.dumps(history), **model)
            (OUTPUT / "new.npz").replace(checkpoint)
            print(f"asked to stop: saved {checkpoint}", flush=True)
            return 143

    confusion = np.zeros((10, 10), int)
    np.add.at(confusion, (test_y, forward(model, test_x)[1].argmax(1)), 1)
    np.savez(OUTPUT / "model.npz", **model)
    plot(history, confusion)
    metrics = {"accuracy": history[-1]["accuracy"], "loss": history[-1]["loss"], "epochs": EPOCHS, "seed": SEED}
    (OUTPUT / "metrics.json").write_text(json.dumps(metrics | {"gpus": gpus, "simulated": simulated}, indent=2) + "\n")
    checkpoint.unlink(missing_ok=True)
    print(f"done: accuracy {metrics['accuracy']:.4f}, wrote model.npz, metrics.json, plot.png", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
