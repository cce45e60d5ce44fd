"""Extension points: plugins are found by their files, described and named without import, loaded when chosen."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from xmodal_core import plugins
from xmodal_core.errors import InputError
from xmodal_core.plugins import Kind

BASE = """
from abc import ABC, abstractmethod

class Animal(ABC):
    @abstractmethod
    def sound(self): ...
"""
CAT = '''"""Says miaow. And more on its second sentence.

A second paragraph.
"""
from zoo_for_tests.base import Animal

class Cat(Animal):
    def sound(self):
        return "miaow"
'''
TWO = """
from zoo_for_tests.base import Animal

class Cow(Animal):
    def sound(self): return "moo"

class Calf(Cow): ...
"""
BORROWING = '''"""Takes a class from elsewhere, an alias, a private one and an abstract one along."""
from abc import abstractmethod
from zoo_for_tests.base import Animal
from zoo_for_tests.cat import Cat

Herd = list[Animal]

class _Helper(Cat): ...

class Walking(Animal):
    @abstractmethod
    def walk(self): ...

class Dog(Cat): ...
'''


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kind:
    """An extension point of its own, in a package outside the tree."""
    folder = tmp_path / "zoo_for_tests"
    folder.mkdir()
    files = {
        "__init__": "",
        "base": BASE,
        "cat": CAT,
        "cows": TWO,
        "dog": BORROWING,
        "stone": "x = 1\n",
        "sphinx": "import no_such_library_at_all\n",
        "_private": "raise RuntimeError",
    }
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in [name for name in sys.modules if name.startswith("zoo_for_tests")]:
        monkeypatch.delitem(sys.modules, name)
    return Kind("animal", "zoo_for_tests", "Animal")


@pytest.fixture
def foreign(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A package that registers the plugins ``horse`` and a second ``cat``."""
    package = tmp_path / "stable_for_tests"
    package.mkdir()
    (package / "__init__.py").write_text("")
    horse = CAT.replace("Cat", "Horse").replace("miaow", "neigh")
    (package / "horse.py").write_text(horse)
    points = [
        EntryPoint(name="horse", value="stable_for_tests.horse", group="xmodal.animal"),
        EntryPoint(name="cat", value="stable_for_tests.horse", group="xmodal.animal"),
        EntryPoint(name="ghost", value="no_such_package_at_all.ghost", group="xmodal.animal"),
    ]
    monkeypatch.setattr(plugins, "entry_points", lambda *, group: [point for point in points if point.group == group])


def test_names_are_the_modules_but_base_and_private_ones_and_none_is_imported(zoo: Kind) -> None:
    assert plugins.names(zoo) == ["cat", "cows", "dog", "sphinx", "stone"]
    assert not any(name.startswith("zoo_for_tests.") for name in sys.modules)


def test_the_summary_is_the_first_docstring_line_read_without_import(zoo: Kind) -> None:
    assert plugins.summary(zoo, "cat") == "Says miaow. And more on its second sentence."
    assert plugins.summary(zoo, "stone") == ""
    assert plugins.summary(zoo, "sphinx") == ""
    assert "zoo_for_tests.cat" not in sys.modules


def test_loading_gives_the_public_class_that_the_module_itself_defines(zoo: Kind) -> None:
    assert plugins.load(zoo, "cat")().sound() == "miaow"
    assert plugins.load(zoo, "dog").__name__ == "Dog"


def test_a_module_with_two_classes_or_none_is_refused(zoo: Kind) -> None:
    with pytest.raises(InputError, match=r"zoo_for_tests\.cows defines 2 public Animal classes.*exactly one"):
        plugins.load(zoo, "cows")
    with pytest.raises(InputError, match=r"zoo_for_tests\.stone defines 0 public Animal classes"):
        plugins.load(zoo, "stone")


def test_an_unknown_name_is_refused_with_the_known_ones_and_the_near_one(zoo: Kind) -> None:
    with pytest.raises(InputError) as caught:
        plugins.load(zoo, "cot")
    assert caught.value.message == "unknown animal 'cot'"
    assert caught.value.hint == "did you mean 'cat'? known: cat, cows, dog, sphinx, stone"
    with pytest.raises(InputError) as caught:
        plugins.summary(zoo, "x")
    assert caught.value.hint == "known: cat, cows, dog, sphinx, stone"


def test_a_plugin_whose_library_is_missing_says_which(zoo: Kind) -> None:
    with pytest.raises(InputError, match=r"animal 'sphinx' needs the library 'no_such_library_at_all'.*pip install"):
        plugins.load(zoo, "sphinx")


def test_a_mistake_in_a_plugin_is_not_taken_for_a_missing_library(zoo: Kind, tmp_path: Path) -> None:
    (tmp_path / "zoo_for_tests" / "stone.py").write_text("import zoo_for_tests.pebble")
    with pytest.raises(ModuleNotFoundError, match=r"zoo_for_tests\.pebble"):
        plugins.load(zoo, "stone")


def test_a_plugin_may_be_a_folder(zoo: Kind, tmp_path: Path) -> None:
    (tmp_path / "zoo_for_tests" / "lion").mkdir()
    (tmp_path / "zoo_for_tests" / "lion" / "__init__.py").write_text(CAT.replace("Cat", "Lion"))
    assert "lion" in plugins.names(zoo)
    assert plugins.summary(zoo, "lion").startswith("Says miaow.")
    assert plugins.load(zoo, "lion").__name__ == "Lion"


@pytest.mark.usefixtures("foreign")
def test_another_package_adds_its_own_and_cannot_take_a_name_of_ours(zoo: Kind) -> None:
    assert plugins.names(zoo) == ["cat", "cows", "dog", "ghost", "horse", "sphinx", "stone"]
    assert plugins.summary(zoo, "horse").startswith("Says neigh.")
    assert plugins.load(zoo, "horse")().sound() == "neigh"
    assert plugins.load(zoo, "cat")().sound() == "miaow"
    assert plugins.summary(zoo, "ghost") == ""
    with pytest.raises(InputError, match="'ghost' needs the library 'no_such_package_at_all'"):
        plugins.load(zoo, "ghost")


@pytest.mark.parametrize("kind", plugins.KINDS, ids=lambda kind: kind.name)
def test_every_plugin_of_ours_is_listed_with_a_line_of_help(kind: Kind) -> None:
    for name in plugins.names(kind):
        assert plugins.summary(kind, name).rstrip(".") != ""
        assert len(plugins.summary(kind, name)) < 120


def test_names_and_summaries_import_no_plugin() -> None:
    program = (
        "import sys\n"
        "from xmodal_core import plugins\n"
        "found = [(kind, name) for kind in plugins.KINDS for name in plugins.names(kind)]\n"
        "for kind, name in found: plugins.summary(kind, name)\n"
        "loaded = [f'{kind.package}.{name}' for kind, name in found if f'{kind.package}.{name}' in sys.modules]\n"
        "print(len(found), loaded, sorted({'torch', 'numba', 'open3d', 'plotly', 'dash', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    count, rest = done.stdout.strip().split(" ", 1)
    assert int(count) >= 8
    assert rest == "[] []"
