"""Handwritten digits, and a classifier of them: what examples/digits calls."""

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass

from sklearn.datasets import load_digits
from sklearn.svm import SVC

import procpool

SAMPLES = load_digits()  # 1,797 images of 8 by 8 pixels, which come with scikit-learn
MODEL = SVC(gamma=0.001)


@dataclass
class Digit:
    pixels: list[float]
    label: int


@procpool.stream("digits")
def digits() -> Iterator[Digit]:
    """All images, each with the digit that it shows."""
    for pixels, label in zip(SAMPLES.data.tolist(), SAMPLES.target.tolist(), strict=True):
        yield Digit(pixels, label)


@procpool.task("train")
def train(every: int) -> int:
    """Train the classifier with the images 0, every, 2 * every, ...; return how many they are."""
    MODEL.fit(SAMPLES.data[::every], SAMPLES.target[::every])
    return len(SAMPLES.data[::every])


@procpool.task("classify")
def classify(pixels: list[float]) -> int:
    """The digit that an image shows."""
    return int(MODEL.predict([pixels])[0])


@procpool.task("crash")
def crash() -> None:
    """Read memory that is not there, in C, as a bug in native code would."""
    ctypes.string_at(0)


procpool.serve()
