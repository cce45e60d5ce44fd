"""xmodal demo: the whole way, from a drive to an exported network, by the commands that a person would type."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

if TYPE_CHECKING:
    from sample_data import DriveSettings

FRAMES, FRAME, EPOCHS = 12, 6, 6


class Act(NamedTuple):
    """One step of the demo.

    Args:
        title: what happens.
        command: what one would type, without ``xmodal``.
        play: does the same.
    """

    title: str
    command: str
    play: Callable[[], None]


def demo(
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Where to; default demo, or demo-2 … if it is there.")
    ] = None,
) -> None:
    """Find units in a generated drive, draw them, pre-train a network on them, export it: minutes, without a GPU."""
    from time import monotonic

    from xmodal_cli.console import err
    from xmodal_core.errors import InputError

    folder = out or next(free_names(Path("demo")))
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} is there already", "name another folder with --out, or leave --out away")
    begun = monotonic()
    drive = _drive()
    story = acts(drive, folder)
    for number, act in enumerate(story, 1):
        err.rule(f"[bold]{number} of {len(story)}: {act.title}", align="left")
        err.print(f"$ xmodal {act.command}", style="cyan", markup=False, highlight=False, soft_wrap=True)
        act.play()
    _farewell(folder, monotonic() - begun)


def free_names(path: Path) -> Iterator[Path]:
    """``path`` and its numbered brothers, as far as they are not there yet."""
    names = (path, *(path.with_name(f"{path.name}-{number}") for number in range(2, 10_000)))
    return (name for name in names if not name.exists())


def drive_settings() -> DriveSettings:
    """The drive of the demo: one street, with pictures of the usual size."""
    from sample_data import DriveSettings

    return DriveSettings(scenes=1, frames=FRAMES)


def _drive() -> Path:
    from xmodal_cli.drive import ensure_sample_drive

    return ensure_sample_drive(drive_settings())


def acts(drive: Path, folder: Path) -> list[Act]:
    """The steps, with ``drive`` as their data and ``folder`` for what they make."""
    from xmodal_cli.commands.export_ckpt import export_ckpt
    from xmodal_cli.commands.pretrain import pretrain
    from xmodal_cli.commands.units.show import show

    run, page, sheet = folder / "run", folder / "units.html", folder / "units.png"
    source = f"--dataset sample --root {drive}"
    export = folder / "export" / "minkunet.safetensors"

    def draw(file: Path) -> Act:
        return Act(
            f"units of one frame as {file.name}",
            f"units show {source} --frame {FRAME} --out {file}",
            lambda: show(dataset="sample", root=drive, frame=str(FRAME), out=file),
        )

    return [
        draw(page),
        draw(sheet),
        Act(
            "a LiDAR network pre-trained on the units of every frame",
            f"pretrain {source} --epochs {EPOCHS} --out {run}",
            lambda: pretrain(dataset="sample", root=drive, epochs=EPOCHS, out=run),
        ),
        Act(
            "its weights as a file for others",
            f"export-ckpt {run} --out {export}",
            lambda: export_ckpt(run, out=export),
        ),
    ]


def _farewell(folder: Path, seconds: float) -> None:
    from xmodal_cli.console import out

    made = {
        "units.html": "open it in a browser: stages, 3D, cameras; click a unit",
        "units.png": "the same for a paper",
        "run": "the pre-trained network, its measures (tensorboard --logdir), to go on with --resume",
        "export": "the network alone, with a card that says what it is",
    }
    out.rule(f"[bold]made in {seconds:.0f} s", align="left")
    for name, words in made.items():
        out.print(f"[bold]{folder / name}[/]  {words}", highlight=False, soft_wrap=True)
    out.print("\nnext:", highlight=False)
    for line in (
        "xmodal units show --frame 120        # six streets, made on first use",
        "xmodal units tune --frame 120        # move a slider, see the units change",
        "xmodal units show --dataset nuscenes --root DIR --frame 0",
        "xmodal pretrain --dataset nuscenes --root DIR --epochs 50",
        "xmodal settings                      # everything that --set and --config take",
    ):
        out.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)
