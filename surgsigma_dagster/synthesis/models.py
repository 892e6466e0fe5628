"""A user's own ONNX models for depth and instrument masks. What they say is a pseudo-label, and is marked as one.

No weights come with the project. A model is one file whose content is pinned by its hash, so that a corpus can say
what made it; weights in files beside it are refused, since the hash would not cover them.
"""

import hashlib
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from surgsigma_dagster.sources.config import ModelEntry
from surgsigma_dagster.sources.errors import SourceError
from surgsigma_dagster.synthesis.depth import scaled
from surgsigma_dagster.synthesis.smoke import Image


@dataclass(frozen=True)
class Model:
    """A model that is loaded, with its entry."""

    entry: ModelEntry
    session: Any  # onnxruntime.InferenceSession: the package is an extra

    def parameters(self) -> dict[str, Any]:
        """What is kept with each answer: everything of the entry but where the file lies."""
        return self.entry.model_dump(mode="json", exclude={"path"})


def load(entry: ModelEntry) -> Model:
    """The model of `entry`, on one thread of the processor, so that answers do not depend on the machine's cores.

    It is tried on a ramp of grey. Raises `SourceError` where the file is not the one that was pinned, or answers not
    as the entry says, and ModuleNotFoundError without the extra `models`.
    """
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("models need onnxruntime: pip install 'surgsigma-dagster[models]'") from error
    try:
        content = entry.path.read_bytes()
    except OSError as error:
        raise SourceError(entry.path, "", "a model file", type(error).__name__) from error
    found = hashlib.sha256(content).hexdigest()
    if found != entry.sha256:
        raise SourceError(entry.path, "", f"sha256 {entry.sha256}", found)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    with TemporaryDirectory() as nothing:
        # Weights outside the file would be looked for in the working folder, and no hash would cover them.
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", nothing)
        try:
            session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's errors share no other base
            raise SourceError(entry.path, "", "an ONNX model in one file", error) from error
    inputs = [f"{one.name} {one.type} {one.shape}" for one in session.get_inputs()]
    if len(inputs) != 1 or session.get_inputs()[0].type != "tensor(float)":
        raise SourceError(entry.path, "inputs", "one tensor of floats", ", ".join(inputs))
    model = Model(entry, session)
    ramp = np.linspace(0, 255, entry.input_width * entry.input_height, dtype=np.uint8)
    predict(model, np.repeat(ramp.reshape(entry.input_height, entry.input_width, 1), 3, axis=2))
    return model


def predict(model: Model, image: Image) -> NDArray[Any]:
    """What `model` says of `image` ((H, W, 3) uint8, blue first), in the picture's size.

    (H, W): uint16 relative depth as in `synthesis.depth`, or a uint8 mask of 0 and 255. Raises `SourceError` for an
    answer of another shape, or of no numbers.
    """
    entry, size = model.entry, (image.shape[1], image.shape[0])
    put_in = (entry.input_width, entry.input_height)
    small = cv2.resize(image, put_in, interpolation=cv2.INTER_AREA if put_in[0] < size[0] else cv2.INTER_LINEAR)
    pixels = (small[..., ::-1] / np.float32(255) - np.array(entry.mean, np.float32)) / np.array(entry.std, np.float32)
    tensor = np.ascontiguousarray(pixels.transpose(2, 0, 1)[None], np.float32)
    try:
        answer = np.asarray(model.session.run(None, {model.session.get_inputs()[0].name: tensor})[0], np.float32)
    except Exception as error:  # onnxruntime's errors share no other base
        raise SourceError(
            entry.path, "", f"a model of {entry.input_width}x{entry.input_height} input", error
        ) from error
    layers = answer[0] if answer.ndim == 4 else answer if answer.ndim == 3 else answer[None]
    if layers.ndim != 3 or answer.size != layers.size or min(layers.shape) < 1:
        raise SourceError(entry.path, "output", "values a pixel of one picture", answer.shape)
    if not np.isfinite(layers).all():
        raise SourceError(entry.path, "output", "finite numbers", "NaN or infinite ones")
    if entry.task == "depth":
        if len(layers) != 1:
            raise SourceError(entry.path, "output", "one depth a pixel", f"{len(layers)} values a pixel")
        far = cv2.resize(layers[0] if entry.larger_is == "farther" else -layers[0], size)
        return scaled(far, np.ones(far.shape, bool))
    if len(layers) < 2 if entry.instrument_classes else len(layers) > 1:
        expected = "a score for each class" if entry.instrument_classes else "one score a pixel, or instrument_classes"
        raise SourceError(entry.path, "output", expected, f"{len(layers)} scores a pixel")
    if max(entry.instrument_classes, default=0) >= len(layers):
        raise SourceError(entry.path, "output", f"class {max(entry.instrument_classes)}", f"{len(layers)} classes")
    scores = np.stack([cv2.resize(layer, size) for layer in layers])
    white = np.isin(scores.argmax(0), entry.instrument_classes) if len(scores) > 1 else scores[0] > entry.threshold
    return np.where(white, 255, 0).astype(np.uint8)
