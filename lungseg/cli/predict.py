"""``lungseg predict``: masks of the user's radiographs."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lungseg import runtime, terminal
from lungseg.terminal import elapsed, plain, tell, whole

if TYPE_CHECKING:
    from lungseg.inputs import Item
    from lungseg.prediction import Tally

SECONDS = 10.0


def add(commands: argparse._SubParsersAction[Any]) -> None:
    """Add the verb."""
    parser = commands.add_parser(
        "predict",
        help="segment the lungs of radiographs: PNG, JPEG, TIFF or DICOM",
        description="Write a lung mask for each radiograph at its original size, and lungs.csv with areas and quality "
        "flags. Exit code 4: some files failed, all others were segmented; 3: all files failed. For "
        "research only; not a medical device.",
    )
    parser.add_argument("inputs", nargs="+", help="files, folders or quoted glob patterns")
    parser.add_argument("--out", type=terminal.path, default=Path("lungs"), help="output folder (default: lungs)")
    parser.add_argument(
        "--model", default="lwnet-128", help="model folder, or name of a shipped model (default: lwnet-128)"
    )
    terminal.add_engine(parser)
    parser.add_argument("--overlays", action="store_true", help="also write images with the lungs drawn in")
    parser.add_argument("--overlay-size", type=whole(16, 16384), metavar="PX",
                        help="longer side of the overlays in pixels (default: 1024); implies --overlays")  # fmt: skip
    parser.add_argument("--probabilities", action="store_true", help="also write probability maps as 16-bit PNG")
    parser.add_argument("--sides", action="store_true", help="also write separate masks of the right and the left lung")
    parser.add_argument("--dicom-seg", action="store_true", help="also write a DICOM Segmentation for each DICOM "
                        "input; it identifies the patient as the input does (needs highdicom)")  # fmt: skip
    parser.add_argument(
        "--skip-existing",
        action="store_true",
        help="skip files that the same model has segmented, with all that is to be written beside their masks",
    )
    terminal.add_threads(parser)
    parser.set_defaults(run=run, resume="; the same command with --skip-existing goes on")


def run(arguments: argparse.Namespace) -> int:
    """Predict; print where the table is."""
    from lungseg import inputs, model_folder, prediction

    model = model_folder.find(arguments.model)
    items = inputs.items(arguments.inputs, arguments.out, tell)
    if arguments.dicom_seg:
        from lungseg import dicom_seg

        dicom_seg.require()
        if not any(prediction.is_dicom(item.path) for item in items):
            tell("--dicom-seg writes nothing: no input is DICOM")
    if model.onnx is None or arguments.engine == "keras":
        runtime.set_up(arguments.threads)
    from lungseg import engine

    network = engine.start(model, arguments.engine, arguments.threads, arguments.tta)
    wanted = prediction.Wanted(
        arguments.overlays or arguments.overlay_size is not None, arguments.overlay_size or prediction.SIDE,
        arguments.probabilities, arguments.sides, arguments.dicom_seg,
    )  # fmt: skip
    tally = prediction.predict(
        items, arguments.out, model.card, network, wanted,
        skip_existing=arguments.skip_existing, tta=arguments.tta, postprocess=arguments.postprocess,
        watch=_Progress(len(items)),
    )  # fmt: skip
    tell(f"{tally.done} segmented, {tally.skipped} skipped, {tally.failed} failed")
    print(plain(str(arguments.out / inputs.TABLE)))
    if not tally.failed:
        return 0
    from lungseg.errors import PARTIAL, DataError

    return PARTIAL if tally.done or tally.skipped else DataError.exit_code


class _Progress:
    """Prints each error at once, and the progress every few seconds."""

    def __init__(self, total: int) -> None:
        self.total, self.began, self.say = total, time.monotonic(), terminal.every(SECONDS, tell)

    def __call__(self, item: Item, error: str | None, tally: Tally) -> None:
        if error is not None:
            tell(f"lungseg: {error}")
        done = tally.done + tally.failed
        seen = done + tally.skipped
        if done:
            left = (time.monotonic() - self.began) / done * (self.total - seen)
            self.say(f"{seen} of {self.total} files, {tally.failed} failed, about {elapsed(left)} left")
