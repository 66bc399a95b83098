"""``config``: right or wrong in one sentence, and every setting explained."""

import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_a_right_file_is_one_sentence(program, tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text("microphones: [{name: gate}, {name: line}]\n", encoding="ascii")
    result = program.run("config", "check", config)
    assert result.returncode == 0
    assert result.stdout == (
        f"{config} is right: microphones gate, line; recognizes with whisper-base.\n"
    )


def test_a_wrong_file_is_one_sentence_and_status_78(program, tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text("vad:\n  treshold: 1\n", encoding="ascii")
    for arguments in (("config", "check", config), ("--config", config, "config", "check")):
        result = program.run(*arguments)
        assert result.returncode == 78
        assert result.stdout == ""
        assert result.stderr == (
            f"edge-asr: {config}: line 2, column 3: unknown key 'treshold' in vad; "
            "did you mean 'threshold'?\n"
        )


def test_a_missing_file_is_wrong(program, tmp_path):
    result = program.run("config", "check", tmp_path / "config.yaml")
    assert result.returncode == 78
    assert result.stderr.count("\n") == 1


def test_the_schema_is_json(program):
    result = program.run("config", "schema")
    assert result.returncode == 0
    assert set(json.loads(result.stdout)["$defs"]["Config"]["properties"]) == {
        "backlog",
        "corrections",
        "hands",
        "hooks",
        "liveness",
        "microphones",
        "mqtt",
        "recognition",
        "retention",
        "second_pass",
        "serve",
        "signing",
        "vad",
        "wyoming",
    }


def test_the_page_about_configuration_has_the_tables_that_the_program_prints(program):
    """If it fails: put there what ``edge-asr config schema --format markdown`` prints."""
    result = program.run("config", "schema", "--format", "markdown")
    assert result.returncode == 0, result.stderr
    tables = result.stdout.strip()
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    between = re.search(r"<!-- settings -->\n(.*)\n<!-- /settings -->", page, re.DOTALL)[1]
    assert between.strip() == tables
