"""What a form asks for depends on what the model can do."""

from pathlib import Path

import pytest

from edge_asr.manifest import Capabilities
from edge_asr.records import Task
from edge_asr.serve.models import Model
from edge_asr.serve.transcription_form import wanted
from edge_asr.serve.uploads import Form
from tests.manifests import manifest_of

PROSE = "The night shift reports a leak behind the second press, and the pump has been stopped."


class Models:
    """One model."""

    def __init__(self, **can):
        capabilities = Capabilities(tasks=[Task.TRANSCRIBE], languages=["en"], **can)
        self._model = Model(Path("small"), manifest_of(capabilities))

    def find(self, _name):
        return self._model


def asked(prompt, **can):
    form = Form({"prompt": [prompt]}, Path("a.wav"), "a.wav")
    return wanted(form, Task.TRANSCRIBE, Models(**can))


@pytest.mark.parametrize("can", [{}, {"keywords": True}])
def test_prose_that_a_model_has_no_use_for_is_ignored_and_told(can):
    found = asked(PROSE, **can)
    assert found.ignored == ("prompt",)
    assert (found.request["keywords"], found.request["said_before"]) == ([], "")


def test_prose_is_what_was_said_before():
    found = asked(f" {PROSE}\n", keywords=True, context=True)
    assert found.ignored == ()
    assert (found.request["keywords"], found.request["said_before"]) == ([], PROSE)


def test_a_list_of_terms_is_keywords():
    found = asked("Kanban, Siemens S7", keywords=True, context=True)
    assert found.ignored == ()
    assert found.request["keywords"] == ["Kanban", "Siemens S7"]
    assert found.request["said_before"] == ""


def test_a_list_of_terms_is_text_to_a_model_without_keywords():
    assert asked("Kanban, Siemens S7", context=True).request["said_before"] == "Kanban, Siemens S7"


def test_without_a_prompt_nothing_is_ignored():
    found = asked("  ")
    assert (found.ignored, found.request["said_before"]) == ((), "")
