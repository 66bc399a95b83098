"""Recipes: the project's own are sound, and a wrong one is one sentence."""

import re

import pytest
import yaml

from export.errors import RecipeError
from export.recipe import MODELS, WheelSource, find_recipe, list_recipes, read_recipe

pytestmark = pytest.mark.export


def test_every_recipe_is_found_by_its_name():
    for recipe in list_recipes():
        assert find_recipe(recipe.name) == MODELS / f"{recipe.name}.yaml"


def test_every_file_out_of_a_wheel_is_pinned_and_every_package_has_one_version():
    wheels = [each.source for each in list_recipes() if isinstance(each.source, WheelSource)]

    assert wheels
    for source in wheels:
        assert all(re.fullmatch(r"[\w.-]+==[\d.]+", package) for package in source.packages)
        assert all(re.fullmatch(r"[0-9a-f]{64}", file.sha256) for file in source.files.values())


def test_the_table_of_the_readme_has_every_recipe_and_its_hash():
    table = (MODELS / "README.md").read_text(encoding="utf-8")

    for recipe in list_recipes():
        assert f"| `{recipe.name}` |" in table
        files = recipe.source.files if isinstance(recipe.source, WheelSource) else {}
        for name, file in files.items():
            if name.endswith((".bin", ".onnx")):
                assert file.sha256 in table


def test_an_unknown_name_lists_those_there_are():
    with pytest.raises(RecipeError, match=r"no recipe 'whisper'; there are: .*whisper-base"):
        find_recipe("whisper")


def _altered(tmp_path, **changes):
    content = yaml.safe_load((MODELS / "whisper-base.yaml").read_text(encoding="utf-8"))
    (tmp_path / "licence.txt").touch()
    path = tmp_path / "altered.yaml"
    altered = {**content, "licence_file": "licence.txt", **changes}
    path.write_text(yaml.safe_dump(altered), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"quantise": "int8"}, "unknown field `quantise`"),
        ({"quantize": "int2"}, "int2"),
        ({"name": "../elsewhere"}, "name"),
        ({"licence_file": "nowhere.txt"}, "no licence_file nowhere.txt"),
        ({"source": {"kind": "ftp"}}, "kind"),
        ({"source": {"kind": "hub", "repo": "a/b", "revision": "main", "weights": {}}}, "revision"),
    ],
)
def test_a_wrong_recipe_is_one_sentence(tmp_path, changes, complaint):
    with pytest.raises(RecipeError, match=complaint) as caught:
        read_recipe(_altered(tmp_path, **changes))

    assert "\n" not in str(caught.value)


def test_a_wheel_member_may_not_leave_the_wheel(tmp_path):
    source = {
        "kind": "wheel",
        "origin": "x",
        "packages": ["a==1"],
        "files": {"model.bin": {"sha256": "0" * 64, "members": ["../../etc/passwd"]}},
    }

    with pytest.raises(RecipeError, match="bad path within a wheel"):
        read_recipe(_altered(tmp_path, source=source, adapter=None))


def test_what_is_no_yaml_is_one_sentence(tmp_path):
    path = tmp_path / "broken.yaml"
    path.write_text("name: [", encoding="utf-8")

    with pytest.raises(RecipeError, match=r"broken\.yaml"):
        read_recipe(path)
