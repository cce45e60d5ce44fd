"""The command as a whole: fast help without torch, two lines for an error, exit codes, Ctrl-C, a closed pipe."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from xmodal_cli import app as application
from xmodal_cli.app import app, run
from xmodal_core.errors import DataError, InputError, RunError, XmodalError

HEAVY = {"torch", "numba", "scipy", "open3d", "plotly", "matplotlib", "dash", "sklearn", "lightning_fabric", "spconv"}


def python(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)


@pytest.fixture
def raising(monkeypatch: pytest.MonkeyPatch) -> object:
    """Makes the command line raise what it is given."""

    def install(error: BaseException) -> None:
        def stand_in(*arguments: object, **more: object) -> None:
            raise error

        monkeypatch.setattr(application, "app", stand_in)

    return install


def test_help_loads_nothing_heavy() -> None:
    done = python(
        "import sys\n"
        "from xmodal_cli.app import run\n"
        "code = run(['--help'])\n"
        f"print('loaded', sorted({HEAVY!r} & set(sys.modules)), code)"
    )
    assert "Usage: xmodal" in done.stdout, done.stderr
    assert done.stdout.strip().endswith("loaded [] 0")


def test_every_commands_help_answers_without_torch_installed() -> None:
    done = python(
        "import sys\n"
        "for name in ('torch', 'spconv', 'lightning_fabric', 'timm', 'open3d'): sys.modules[name] = None\n"
        "import typer\n"
        "from xmodal_cli.app import app, run\n"
        "def walk(command, path):\n"
        "    yield path\n"
        "    for name, child in getattr(command, 'commands', {}).items():\n"
        "        yield from walk(child, [*path, name])\n"
        "paths = list(walk(typer.main.get_command(app), []))\n"
        "codes = [run([*path, '--help']) for path in paths]\n"
        "print('asked', len(paths), set(codes))"
    )
    last = done.stdout.strip().splitlines()[-1].split()
    assert last[0] == "asked", done.stderr
    assert int(last[1]) >= 9
    assert last[2:] == ["{0}"]
    for command in ("pretrain", "export-ckpt", "bench units", "data sample", "settings"):
        assert f"Usage: xmodal {command}" in done.stdout


@pytest.mark.parametrize(
    ("error", "code"),
    [(InputError("no split 'x'", "known: a, b"), 2), (DataError("f.bin is missing", "fetch it"), 2),
     (RunError("the loss is NaN", "lower the rate"), 1), (XmodalError("it broke", "mend it"), 1)],
)  # fmt: skip
def test_an_error_is_two_lines_on_standard_error_and_an_exit_code(
    error: XmodalError, code: int, raising, capsys: pytest.CaptureFixture[str]
) -> None:
    raising(error)
    assert run([]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"error: {error.message}\nhint:  {error.hint}\n"


def test_an_error_without_a_hint_is_one_line(raising, capsys: pytest.CaptureFixture[str]) -> None:
    raising(InputError("no"))
    assert run([]) == 2
    assert capsys.readouterr().err == "error: no\n"


def test_long_and_odd_words_are_printed_as_they_are(raising, capsys: pytest.CaptureFixture[str]) -> None:
    """Paths are neither wrapped nor taken for markup."""
    path = "/a/[bold]/" + "deep/" * 60 + r"back\[slash].bin"
    raising(DataError(f"{path} is missing\nsecond line", "look"))
    run([])
    assert capsys.readouterr().err == f"error: {path} is missing second line\nhint:  look\n"


@pytest.mark.parametrize(
    ("arguments", "message", "where"),
    [
        (["--nope"], "No such option: --nope", "xmodal"),
        (["bogus"], "No such command 'bogus'", "xmodal"),
        (["bench", "unit"], "No such command 'unit'", "xmodal bench"),
        (["bench", "units", "--frme", "3"], "No such option: --frme", "xmodal bench units"),
        (["bench", "units", "--frame", "x"], "Invalid value for '--frame'", "xmodal bench units"),
        (["bench", "units", "--repeat", "0"], "Invalid value for '--repeat'", "xmodal bench units"),
        (["data", "sample", "--out"], "'--out' requires an argument", "xmodal data sample"),
    ],
)
def test_a_wrong_option_is_two_lines_too(
    arguments: list[str], message: str, where: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("error: ")
    assert message in first
    assert second == f"hint:  see: {where} --help"


def test_a_command_without_its_subcommand_shows_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench"]) == 2
    shown = "".join(capsys.readouterr())
    assert "Usage: xmodal bench" in shown
    assert "error:" not in shown


def test_debug_shows_the_traceback_and_keeps_the_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments in (["--debug", "bench", "units"], ["bench", "units", "--debug"]):
        monkeypatch.setattr(sys, "argv", ["xmodal", *arguments, "--dataset", "kitti_raw"])
        with pytest.raises(SystemExit) as caught:
            application.main()
        assert caught.value.code == 2
        err = capsys.readouterr().err
        assert "Traceback" in err
        assert "InputError: data set 'kitti_raw' needs its folder" in err


def test_without_debug_there_is_none(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["xmodal", "bench", "units", "--dataset", "kitti_raw"])
    with pytest.raises(SystemExit) as caught:
        application.main()
    assert caught.value.code == 2
    assert capsys.readouterr().err.splitlines() == [
        "error: data set 'kitti_raw' needs its folder",
        "hint:  give it with --root DIR",
    ]


class TestMistakesOfOurs:
    def test_one_line_says_what_and_where_and_the_traceback_is_kept(
        self, raising, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("XMODAL_CACHE", str(tmp_path / "cache"))
        raising(KeyError("points"))
        assert run([]) == 1
        kept = tmp_path / "cache" / "traceback.txt"
        first, second = capsys.readouterr().err.splitlines()
        assert first.startswith("error: KeyError: 'points' (test_app.py, line ")
        assert str(kept) in second
        assert "Traceback" in kept.read_text()
        assert "KeyError: 'points'" in kept.read_text()

    def test_where_it_cannot_be_kept_it_is_shown(
        self, raising, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "file").write_text("")
        monkeypatch.setenv("XMODAL_CACHE", str(tmp_path / "file"))
        raising(ValueError("odd"))
        assert run([]) == 1
        err = capsys.readouterr().err
        assert "Traceback" in err
        assert "error: ValueError: odd" in err

    def test_debug_shows_it(self, raising, capsys: pytest.CaptureFixture[str]) -> None:
        raising(ValueError("odd"))
        assert run([], debug=True) == 1
        assert capsys.readouterr().err.startswith("Traceback")


def test_ctrl_c_ends_with_130(raising) -> None:
    raising(KeyboardInterrupt())
    assert run([]) == 130


def test_a_real_ctrl_c_ends_with_130_and_without_a_traceback() -> None:
    program = (
        "import sys, time\n"
        "import sample_data\n"
        "from xmodal_cli.app import run\n"
        "def slow(*arguments, **more):\n"
        "    print('begun', flush=True)\n"
        "    time.sleep(60)\n"
        "sample_data.ensure_drive = slow\n"
        "sys.exit(run(['data', 'sample']))\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "begun\n"
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=60)
    assert child.returncode == 130
    assert "Traceback" not in err


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    """``xmodal settings units | head -1``"""
    read, write = os.pipe()
    program = "import sys; from xmodal_cli.app import run; sys.exit(run(['--help'] ))"
    os.close(read)
    done = subprocess.run([sys.executable, "-c", program], stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert done.returncode == 1
    assert done.stderr == ""


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("xmodal 0.")


def test_every_command_has_a_line_of_help() -> None:
    import typer

    def check(command: object, path: str) -> int:
        assert getattr(command, "help", None), path
        children = getattr(command, "commands", {})
        return 1 + sum(check(child, f"{path} {name}") for name, child in children.items())

    assert check(typer.main.get_command(app), "xmodal") >= 9
