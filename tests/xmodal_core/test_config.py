"""Settings: defaults, then a file, then the command line; every complaint names the key, its origin and the way out."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from xmodal_core.config import SECTIONS, Settings, dump_yaml, entries, read_sections, resolve, setting, validate
from xmodal_core.errors import InputError
from xmodal_core.units.config import UnitsConfig


class Wheel(Settings):
    """A part."""

    radius: float = setting(0.3, "how large", unit="m", ge=0.1, le=1, step=0.05)
    kind: Literal["air", "solid"] = setting("air", "what is in it")


class Cart(Settings):
    """A whole with parts that have other defaults than their own."""

    wheels: int = setting(4, "how many", ge=1, le=8, step=1)
    front: Wheel = Wheel()
    rear: Wheel = Wheel(radius=0.5)
    name: str | None = setting(None, "what it is called")
    colours: tuple[str, ...] = setting(("red",), "in which colours")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "settings.yaml"


class TestEntries:
    def test_every_leaf_with_path_words_unit_and_bounds_in_the_written_order(self) -> None:
        found = list(entries(Cart, "cart."))
        assert [entry.path for entry in found] == [
            "cart.wheels",
            "cart.front.radius",
            "cart.front.kind",
            "cart.rear.radius",
            "cart.rear.kind",
            "cart.name",
            "cart.colours",
        ]
        radius = found[1]
        assert (radius.kind, radius.words, radius.unit) == (float, "how large", "m")
        assert (radius.default, radius.ge, radius.le, radius.step) == (0.3, 0.1, 1, 0.05)
        assert (found[0].unit, found[5].default, found[5].ge, found[6].default) == ("", None, None, ("red",))

    def test_defaults_are_those_that_a_plain_start_uses(self) -> None:
        """A class may give its parts others than their own."""
        assert next(entry for entry in entries(Cart) if entry.path == "rear.radius").default == 0.5
        for kind in (Cart, UnitsConfig):
            made = kind()
            for entry in entries(kind):
                value: Any = made
                for name in entry.path.split("."):
                    value = getattr(value, name)
                assert value == entry.default, entry.path


class TestOrderOfWeight:
    def test_nothing_given_gives_the_defaults(self) -> None:
        assert resolve(Cart) == Cart()
        assert resolve(UnitsConfig, section="units") == UnitsConfig()

    def test_the_command_line_weighs_more_than_the_file_and_that_more_than_defaults(self, file: Path) -> None:
        file.write_text("wheels: 2\nfront: {radius: 0.4, kind: solid}\n")
        cart = resolve(Cart, file, ["front.radius=0.7"])
        assert cart == Cart(wheels=2, front=Wheel(radius=0.7, kind="solid"))
        assert resolve(Cart, file, ["wheels=3", "wheels=6"]).wheels == 6

    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("front.radius=1e-1", 0.1),
            ("front.radius= 0.25 ", 0.25),
            (" front.radius =1", 1.0),
            ("front.kind=solid", "solid"),
            ("name=", None),
            ("name=null", None),
            ("name=a=b", "a=b"),
            ("name='42'", "42"),
            ("name={oops", "{oops"),
            ("colours=[blue, green]", ("blue", "green")),
            ("colours=[]", ()),
        ],
    )
    def test_values_are_read_as_yaml(self, text: str, value: Any) -> None:
        found: Any = resolve(Cart, None, [text])
        for name in text.split("=")[0].strip().split("."):
            found = getattr(found, name)
        assert found == value

    def test_a_section_leaves_the_others_to_whoever_owns_them(self, file: Path) -> None:
        file.write_text("units: {seeds: {count: 64}}\ndataset: {no_such_key: 1}\ntrain: {epochs: 3}\n")
        assert resolve(UnitsConfig, file, ["teacher.anything=1"], "units").seeds.count == 64

    def test_a_plugins_section_also_says_which_plugin_and_where_its_files_are(self, file: Path) -> None:
        file.write_text("dataset: {name: cart, root: /there, wheels: 2}\n")
        assert resolve(Cart, file, section="dataset").wheels == 2
        assert read_sections(file)["dataset"] == {"name": "cart", "root": "/there", "wheels": 2}
        assert list(read_sections(None)) == list(SECTIONS)

    @pytest.mark.parametrize("text", ["", "# nothing\n", "units:\n", "units: {}\n", "units:\n  seeds:\n"])
    def test_an_empty_file_section_or_group_gives_defaults(self, file: Path, text: str) -> None:
        file.write_text(text)
        if "seeds" in text:
            with pytest.raises(InputError, match=r"setting 'units\.seeds' cannot be None"):
                resolve(UnitsConfig, file, section="units")
        else:
            assert resolve(UnitsConfig, file, section="units") == UnitsConfig()
        assert resolve(UnitsConfig, file, ["units.seeds.count=64"], "units").seeds.count == 64


class TestComplaints:
    def complaint(self, *arguments: Any, **more: Any) -> InputError:
        with pytest.raises(InputError) as caught:
            resolve(*arguments, **more)
        assert caught.value.hint
        assert "\n" not in caught.value.message + caught.value.hint
        return caught.value

    @pytest.mark.parametrize(
        ("text", "message", "hint"),
        [
            (
                "units.instances.raduis=1",
                "there is no setting 'units.instances.raduis' (from the command line)",
                "did you mean 'units.instances.radius'? known: units.instances.enabled, units.instances.radius,",
            ),
            ("units.instance.radius=1", "no setting 'units.instance'", "did you mean 'units.instances.radius'?"),
            ("units.zzzz=1", "no setting 'units.zzzz'", "known: units.range.nearest,"),
            ("unit.seeds.count=1", "no group of settings 'unit' (from the command line)", "did you mean 'units'?"),
            (
                "units.seeds.count=3",
                "'units.seeds.count' cannot be 3 (from",
                "it should be greater than or equal to 16",
            ),
            ("units.seeds.count=10000", "cannot be 10000", "it should be less than or equal to 8192"),
            ("units.seeds.count=many", "cannot be 'many'", "it should be a valid integer"),
            ("units.instances.radius=.nan", "cannot be nan", "it should be a finite number"),
            ("units.ground.sensor_height=.inf", "cannot be inf", "it should be a finite number"),
            ("units.context.kind=cone", "cannot be 'cone'", "it should be 'neighbours' or 'pillar'"),
            ("units.instances=5", "'units.instances' cannot be 5", "valid dictionary"),
            ("units=5", "'units' is a group of settings, not 5", "key: value"),
            ("units", "cannot read the setting 'units'", "write it as name=value"),
            ("=5", "cannot read the setting '=5'", "write it as name=value"),
        ],
    )
    def test_of_the_command_line(self, text: str, message: str, hint: str) -> None:
        error = self.complaint(UnitsConfig, None, [text], "units")
        assert message in error.message
        assert hint in error.hint

    def test_a_value_has_nothing_within_it(self) -> None:
        error = self.complaint(UnitsConfig, None, ["units.seeds.count=64", "units.seeds.count.more=1"], "units")
        assert "'count' in 'units.seeds.count.more=1' is a value" in error.message

    def test_the_origin_is_the_file_for_what_stands_in_it_and_the_command_line_for_the_rest(self, file: Path) -> None:
        file.write_text("units: {seeds: {count: 3}, context: {radius: 0.5}}\nodd: 1\n")
        assert f"no group of settings 'odd' (from {file})" in self.complaint(UnitsConfig, file, section="units").message
        file.write_text("units: {seeds: {count: 3}, context: {radius: 0.5}}\n")
        assert f"(from {file})" in self.complaint(UnitsConfig, file, ["units.context.radius=1"], "units").message
        error = self.complaint(UnitsConfig, file, ["units.seeds.count=5"], "units")
        assert "cannot be 5 (from the command line)" in error.message

    def test_a_file_that_is_missing_no_yaml_or_no_settings_is_named(self, file: Path) -> None:
        assert f"cannot read the settings file {file}: No such file" in self.complaint(Cart, file).message
        assert f"cannot read the settings file {file.parent}" in self.complaint(Cart, file.parent).message
        file.write_text("wheels: 3\nfront: [1, 2\n")
        assert self.complaint(Cart, file).message.startswith(f"{file}, line 3 is not YAML: expected ',' or ']'")
        file.write_text("wheels: 3\n\tfront: 1\n")
        assert f"{file}, line 2 is not YAML" in self.complaint(Cart, file).message
        file.write_bytes(b"wheels: \xff\xfe")
        assert f"{file} is not YAML" in self.complaint(Cart, file).message
        file.write_text("- 1\n- 2\n")
        assert f"{file} holds no settings, but list" in self.complaint(Cart, file).message
        file.write_text("wheels: !!python/object/apply:os.system ['true']\n")
        assert "is not YAML" in self.complaint(Cart, file).message

    def test_validate_names_section_and_origin_where_they_are_given(self) -> None:
        with pytest.raises(InputError, match=r"^setting 'front\.radius' cannot be 9 \(it should be less"):
            validate(Cart, {"front": {"radius": 9}})
        with pytest.raises(InputError, match=r"^there is no setting 'cart\.weels' \(from here\) \(did you mean"):
            validate(Cart, {"weels": 9}, "cart", "here")


def some_settings(kind: type[Settings]) -> st.SearchStrategy[Any]:
    """Settings of ``kind`` with any values within their bounds."""
    fields: dict[str, Any] = {}
    for name, field in kind.model_fields.items():
        annotation: Any = field.annotation
        entry = next((entry for entry in entries(kind) if entry.path == name), None)
        if entry is None:
            fields[name] = some_settings(annotation)
        elif annotation in (float, float | None):
            values = st.floats(entry.ge, entry.le)
            fields[name] = values if annotation is float else st.none() | values
        elif annotation is int:
            fields[name] = st.integers(int(entry.ge or 0), int(entry.le or 9))
        elif annotation is bool:
            fields[name] = st.booleans()
        elif annotation == str | None:
            fields[name] = st.none() | st.text()
        elif annotation == tuple[str, ...]:
            fields[name] = st.lists(st.text(), max_size=3).map(tuple)
        else:
            fields[name] = st.sampled_from(annotation.__args__)
    return st.builds(kind, **fields)


class TestDump:
    @given(settings=some_settings(Cart) | some_settings(UnitsConfig))
    def test_what_is_written_is_read_back_the_same(
        self, settings: Any, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        file = tmp_path_factory.getbasetemp() / "dumped.yaml"
        file.write_text(dump_yaml(settings), encoding="utf-8")
        assert resolve(type(settings), file) == settings
        file.write_text(dump_yaml(settings, "units"), encoding="utf-8")
        assert resolve(type(settings), file, section="units") == settings

    def test_it_reads_as_a_person_would_write_it(self) -> None:
        lines = dump_yaml(Cart(), "units").splitlines()
        assert lines[:4] == ["units:", "  wheels: 4", "  front:", "    radius: 0.3"]
        assert yaml.safe_load(dump_yaml(Cart()))["colours"] == ["red"]


def test_settings_cannot_be_changed_and_bad_defaults_are_found_at_once() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Cart().wheels = 3  # type: ignore[misc]

    class Bad(Settings):
        """Out of its own bounds."""

        width: float = setting(5.0, "too wide", ge=0, le=1)

    with pytest.raises(ValueError, match="less than or equal to 1"):
        Bad()


def test_options_of_another_plugin_than_the_one_named_have_no_say(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("teacher: {name: resnet50, weights: imagenet}\ndataset: {name: kitti_raw, split: val}\n")
    assert read_sections(file)["teacher"] == {"name": "resnet50", "weights": "imagenet"}
    assert read_sections(file, (), {"teacher": "resnet50"})["teacher"]["weights"] == "imagenet"
    other = read_sections(file, ["teacher.strides=[4]"], {"teacher": "timm:resnet18", "dataset": "nuscenes"})
    assert other["teacher"] == {"name": "resnet50", "strides": [4]}
    assert other["dataset"]["split"] == "val"
    assert read_sections(file, ["teacher.name=swin_tiny"])["teacher"] == {"name": "swin_tiny"}
