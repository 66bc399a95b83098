"""Who may come in."""

import stat

import pytest

from edge_asr.config import Config
from edge_asr.errors import ConfigError, EdgeAsrError
from edge_asr.serve import access
from edge_asr.serve.access import Access, is_this_machine
from edge_asr.serve.sockets import inherited, opened, opened_unix, read_token

TOKEN = "correct-horse-battery-staple"  # noqa: S105 (of a test)
PATHS = ("/", "/health", "/v1/state", "/v1/transcripts", "/v1/events", "/app.js", "/metrics")


@pytest.fixture
def locked(serve_here, monkeypatch):
    monkeypatch.setattr(access, "WRONG_TOKEN_S", 0.0)
    return serve_here(access=Access(TOKEN))


@pytest.mark.parametrize("path", PATHS)
def test_without_the_token_there_is_nothing(locked, path):
    for headers in (
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": "Bearer "},
        {"Cookie": f"edge-asr={TOKEN}"},
        {"Cookie": "edge-asr="},
        {"Cookie": "\x01=;;"},
    ):
        answer = locked.get(path, **headers)
        assert answer.status == 401
        assert answer.error == "a token is needed: send the header Authorization: Bearer TOKEN"


def test_with_the_token_there_is_everything(locked):
    headers = {"Authorization": f"Bearer {TOKEN}"}
    assert locked.get("/v1/transcripts", **headers).status == 200
    assert locked.get("/", **headers).status == 200


def test_a_browser_signs_in_and_keeps_a_cookie_that_is_not_the_token(locked):
    page = locked.get("/", Accept="text/html")
    assert page.status == 401
    assert b"<form" in page.body
    form = {"Content_Type": "application/x-www-form-urlencoded"}
    refused = locked.ask("POST", "/sign-in", "token=wrong", **form)
    assert (refused.status, "set-cookie" in refused.headers) == (401, False)
    signed_in = locked.ask("POST", "/sign-in", f"token={TOKEN}", **form)
    assert (signed_in.status, signed_in.headers["location"]) == (303, "/")
    cookie = signed_in.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    assert TOKEN not in cookie
    assert locked.get("/v1/state", Cookie=cookie.partition(";")[0]).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example:8089"},
        {"Host": "localhost.evil.example"},
        {"Host": "192.168.1.20:8089"},
        {"Host": ""},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "no-cors"},
        {"Sec_Fetch_Site": "same-site", "Sec_Fetch_Mode": "cors"},
    ],
)
def test_pages_of_other_sites_get_nothing(server, headers):
    assert server.get("/v1/transcripts", **headers).status == 403


def test_a_link_from_elsewhere_may_open_the_page_but_not_write(server):
    arriving = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}
    assert server.get("/", **arriving).status == 200
    path = "/v1/utterances/1/versions"
    assert server.ask("POST", path, {"text": "a"}, **arriving).status == 403


def test_the_own_page_may_ask(server):
    own = {"Origin": server.url, "Sec_Fetch_Site": "same-origin"}
    assert server.get("/v1/transcripts", **own).status == 200


@pytest.mark.parametrize(
    ("host", "ours"),
    [
        ("localhost", True),
        ("localhost:8089", True),
        ("127.0.0.1:8089", True),
        ("[::1]:8089", True),
        ("example.org", False),
        ("10.0.0.1", False),
        ("[::1", False),
        ("", False),
        ("localhost@evil.example", False),
    ],
)
def test_names_of_this_machine(host, ours):
    assert is_this_machine(host) == ours


def test_another_address_without_a_token_is_a_mistake_of_configuration(program):
    result = program.run("serve", "--host", "0.0.0.0", "--port", "0")  # noqa: S104 (refused)
    assert result.returncode == 78
    assert "name a file with a token" in result.stderr


def test_a_token_is_read_from_a_file_of_ones_own(tmp_path):
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\nsecond line\n")
    path.chmod(0o600)
    assert read_token(path) == TOKEN
    path.chmod(0o604)
    with pytest.raises(ConfigError, match="everybody may read it"):
        read_token(path)
    path.write_text("short\n")
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="at least 16"):
        read_token(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_token(tmp_path / "none")


def test_a_unix_socket_is_the_owners_and_takes_the_place_of_a_dead_one(tmp_path):
    path = tmp_path / "api.sock"
    opened_unix(path).close()  # which leaves the file
    listening = opened_unix(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    listening.close()
    path.unlink()
    path.write_text("no socket")
    with pytest.raises(EdgeAsrError, match="and no socket"):
        opened_unix(path)


def test_an_address_that_is_taken_or_a_name_is_refused_in_a_sentence():
    taken = opened("127.0.0.1", 0)
    with pytest.raises(EdgeAsrError, match="cannot listen at 127\\.0"):
        opened("127.0.0.1", taken.getsockname()[1])
    taken.close()
    with pytest.raises(EdgeAsrError, match="cannot listen at example"):
        opened("example.org", 0)


def test_sockets_of_another_process_are_left_alone():
    assert inherited({"LISTEN_PID": "1", "LISTEN_FDS": "1"}) == []
    assert inherited({}) == []


def test_every_answer_tells_browsers_to_load_nothing_from_elsewhere(server):
    for path in ("/", "/v1/state", "/nothing"):
        headers = server.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
    assert server.get("/v1/state").headers["cache-control"] == "no-store"


def test_the_default_is_this_machine_only():
    assert Config().serve.host == "127.0.0.1"
