"""``/metrics`` of the server."""

from prometheus_client.parser import text_string_to_metric_families

from edge_asr.serve.access import Access
from tests.store.speech import say

TOKEN = "correct-horse-battery-staple"  # noqa: S105 (of a test)


def utterances(answer):
    families = {family.name: family for family in text_string_to_metric_families(answer)}
    return families["edge_asr_utterances"].samples[0].value


def test_prometheus_gets_what_it_can_read(server, store, monkeypatch):
    monkeypatch.setattr("edge_asr.serve.scraping.FRESH_S", 0.0)
    for n in (1, 2):
        say(store)
        answer = server.get("/metrics")
        assert answer.status == 200
        kind = next(
            value for name, value in answer.headers.items() if name.lower() == "content-type"
        )
        assert kind.startswith("text/plain; version=0.0.4")
        assert utterances(answer.body.decode()) == n


def test_metrics_are_for_those_who_may_come_in(serve_here):
    server = serve_here(access=Access(TOKEN))
    assert server.get("/metrics").status == 401
    assert server.get("/metrics", Authorization=f"Bearer {TOKEN}").status == 200
    assert server.get("/metrics?x=1", Authorization=f"Bearer {TOKEN}").status == 400
