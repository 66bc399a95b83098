"""The ledger adds up, whatever happens to processes, boots, clocks and microphones."""

from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_asr.records import ClockQuality, EndReason, Gap, GapKind, Instant, SourceState
from edge_asr.store import Store, anchors, watches
from edge_asr.store.locks import listener_lock
from edge_asr.store.spans import Span, SpanKind, filled, flattened
from tests.store.speech import noise

S = 1_000_000_000
NOON_NS = 1_764_000_000 * S


@dataclass
class Machine:
    """A machine and its listener, second by second, in a time of their own."""

    store: Store
    boot: int = 0
    true_ns: int = NOON_NS
    boot_ns: int = NOON_NS - 100 * S
    clock_error_ns: int = 0
    quality: ClockQuality = ClockQuality.SYNCHRONISED
    watch: object = None
    died: bool = False
    unheard_ns: int = 0
    true_kinds: list = field(default_factory=list)

    def now(self):
        utc_ns = self.true_ns + self.clock_error_ns
        return Instant(utc_ns, self.true_ns - self.boot_ns, f"boot-{self.boot}", self.quality)

    def start(self):
        if self.watch is None:
            anchors.Anchors(self.store._database).note(self.now())
            self.watch = self.store.watches.begin("mic", self.now())

    def hear(self, seconds):
        self._pass("not_speech", seconds)
        if self.watch:
            self.watch.heard(self.now().monotonic_ns, seconds * 16_000)

    def speak(self, seconds):
        if self.watch:
            start = self.now()
            recording = self.store.utterances.begin("mic", start)
            recording.append(noise(seconds * 16_000))
            self.store.utterances.close(
                recording, n_samples=seconds * 16_000, reason=EndReason.PAUSE
            )
        self._pass("speech", seconds)
        if self.watch:
            self.watch.heard(self.now().monotonic_ns, seconds * 16_000)

    def miss(self, kind, seconds):
        start = self.now()
        self._pass(kind.value, seconds)
        if self.watch:
            self.store.gaps.add("mic", Gap(kind, start, float(seconds), "so it was"))
            self.watch.missed(self.now().monotonic_ns)

    def lack(self, seconds):
        """The microphone is away, and nobody lives to tell of it but the heartbeat."""
        self._pass("no_device", seconds)
        if self.watch:
            self.watch.absent(SourceState.NO_DEVICE, self.now().monotonic_ns)
            self.beat()
            self.die()

    def beat(self):
        if self.watch:
            self.watch._beat_at_s -= watches.HEARTBEAT_S
            self.watch.beat()

    def stop(self):
        if self.watch:
            self.watch.end()
            self.watch = None

    def die(self):
        if self.watch:
            # What came after the last heartbeat and is not stored elsewhere is not known.
            self.watch = None

    def reboot(self, seconds, error_ns, quality):
        self.die()
        self._pass("not_running", seconds)
        self.boot += 1
        self.boot_ns, self.clock_error_ns, self.quality = self.true_ns, error_ns, quality

    def set_clock(self, error_ns, quality):
        self.clock_error_ns, self.quality = error_ns, quality
        if self.watch:
            anchors.Anchors(self.store._database).note(self.now())

    def _pass(self, kind, seconds):
        self.true_kinds.append((kind if self.watch else "not_running", seconds))
        self.true_ns += seconds * S


def account(machine, start_ns=0, end_ns=1 << 62):
    return machine.store.ledger.account("mic", start_ns, end_ns, machine.now())


def seconds(found):
    return {kind.value: ns / S for kind, ns in found.totals_ns.items() if ns}


def true_seconds(machine):
    totals = {}
    for kind, duration in machine.true_kinds:
        totals[kind] = totals.get(kind, 0) + duration
    return totals


@pytest.fixture
def machine(store, monkeypatch):
    monkeypatch.setattr(anchors, "suspended_ns", lambda: 0)
    return Machine(store)


def test_a_day_of_everything_adds_up_and_says_why(machine):
    machine.start()
    machine.miss(GapKind.NO_DEVICE, 2)
    machine.hear(100)
    machine.speak(7)
    machine.miss(GapKind.OVERFLOW, 3)
    machine.miss(GapKind.MUTED, 20)
    machine.hear(30)
    machine.stop()
    machine.hear(60)  # nobody listens
    machine.start()
    machine.hear(10)
    machine.stop()
    found = account(machine)
    assert seconds(found) == true_seconds(machine)
    assert [(span.kind, span.detail) for span in found.gaps] == [
        (SpanKind.NO_DEVICE, "so it was"),
        (SpanKind.OVERFLOW, "so it was"),
        (SpanKind.MUTED, "so it was"),
        (SpanKind.NOT_RUNNING, "listening was stopped"),
    ]


def test_a_death_costs_what_came_after_the_last_heartbeat_but_never_the_sum(machine):
    machine.start()
    machine.hear(100)
    machine.beat()
    machine.hear(20)
    machine.die()
    machine.hear(40)
    machine.start()
    machine.hear(5)
    machine.stop()
    found = account(machine)
    assert seconds(found) == {"not_speech": 105, "not_running": 60}
    assert found.gaps[0].detail == "the listener or the power died"


def test_what_was_spoken_after_the_last_heartbeat_is_known_from_its_sound(machine):
    machine.start()
    machine.hear(100)
    machine.beat()
    machine.speak(9)
    machine.die()
    machine.hear(40)
    machine.start()
    machine.stop()
    assert seconds(account(machine)) == {"not_speech": 100, "speech": 9, "not_running": 40}


def test_a_microphone_that_is_away_when_the_power_goes_was_away(machine):
    machine.start()
    machine.hear(10)
    machine.lack(3600)
    machine.reboot(50, 0, ClockQuality.SYNCHRONISED)
    machine.start()
    machine.hear(10)
    machine.stop()
    assert seconds(account(machine)) == {"not_speech": 20, "no_device": 3600, "not_running": 50}


def test_a_boot_that_learns_the_time_late_is_dated_by_it(machine):
    machine.set_clock(-1_700_000_000 * S, ClockQuality.UNSYNCHRONISED)
    machine.start()
    began_ns = machine.true_ns
    machine.hear(100)
    machine.set_clock(0, ClockQuality.SYNCHRONISED)
    machine.hear(50)
    machine.stop()
    found = account(machine, began_ns, machine.true_ns)
    assert seconds(found) == {"not_speech": 150}
    assert found.outside_ns == 0


def test_a_time_between_boots_without_a_clock_has_an_unknown_length(machine):
    machine.start()
    machine.hear(100)
    machine.stop()
    machine.reboot(500, -10 * S, ClockQuality.UNSYNCHRONISED)
    machine.start()
    machine.hear(100)
    machine.stop()
    [gap] = account(machine).gaps
    assert (gap.kind, gap.certain) == (SpanKind.NOT_RUNNING, False)


def test_a_boot_dated_before_the_one_it_followed_comes_after_it(machine):
    machine.start()
    machine.hear(100)
    machine.stop()
    machine.reboot(500, -1_700_000_000 * S, ClockQuality.UNSYNCHRONISED)
    machine.start()
    machine.speak(10)
    machine.hear(50)
    machine.stop()
    assert seconds(account(machine)) == {"not_speech": 150, "speech": 10}


def test_time_before_the_first_start_and_after_the_last_end_is_outside(machine):
    machine.start()
    machine.hear(100)
    machine.stop()
    found = account(machine, NOON_NS - 50 * S, NOON_NS + 150 * S)
    assert found.outside_ns == 100 * S


def test_a_running_watch_reaches_to_now(machine):
    machine.start()
    machine.hear(100)
    machine.beat()
    machine.hear(25)
    assert seconds(account(machine)) == {"not_speech": 100}
    with listener_lock(machine.store.state_dir, "mic"):
        assert seconds(account(machine)) == {"not_speech": 125}


def test_a_long_watch_becomes_facts_in_between(machine):
    machine.start()
    machine.hear(100)
    machine.watch._begun_at_s -= watches.LONGEST_WATCH_S
    machine.beat()
    machine.hear(50)
    machine.stop()
    ends = machine.store._database.rows("SELECT reason, n_samples FROM watch_ends ORDER BY id")
    assert ends == [("continued", 1_600_000), ("stopped", 800_000)]
    assert seconds(account(machine)) == {"not_speech": 150}


def test_a_sleep_of_the_machine_is_not_running(machine, monkeypatch):
    machine.start()
    machine.hear(100)
    machine.clock_error_ns = 3000 * S  # time since boot stood still
    monkeypatch.setattr(anchors, "suspended_ns", lambda: 3000 * S)
    anchors.Anchors(machine.store._database).note(machine.now())
    machine.hear(100)
    machine.stop()
    assert seconds(account(machine)) == {"not_speech": 200, "not_running": 3000}


STEPS = st.one_of(
    st.tuples(st.just("hear"), st.integers(1, 400)),
    st.tuples(st.just("speak"), st.integers(1, 3)),
    st.tuples(st.just("miss"), st.sampled_from(GapKind), st.integers(1, 400)),
    st.tuples(st.just("lack"), st.integers(1, 400)),
    *(st.tuples(st.just(name)) for name in ("start", "stop", "die", "beat")),
    st.tuples(
        st.just("reboot"),
        st.integers(0, 500),
        st.integers(-(10**6), 10**6).map(lambda s: s * S),
        st.sampled_from(ClockQuality),
    ),
    st.tuples(
        st.just("set_clock"),
        st.integers(-(10**6), 10**6).map(lambda s: s * S),
        st.sampled_from(ClockQuality),
    ),
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(STEPS, max_size=30), st.integers(-400, 400), st.integers(1, 2000))
def test_whatever_happens_it_adds_up_and_never_overlaps(
    tmp_path_factory, steps, from_s, duration_s
):
    with Store.open(tmp_path_factory.mktemp("state")) as store, pytest.MonkeyPatch.context() as m:
        m.setattr(anchors, "suspended_ns", lambda: 0)
        machine = Machine(store)
        machine.start()
        for name, *arguments in steps:
            getattr(machine, name)(*arguments)
        machine.stop()
        whole = account(machine)
        for before, after in zip(whole.spans, whole.spans[1:], strict=False):
            assert before.end_ns == after.start_ns
        # Utterances are never double, and none is hidden.
        [(n_samples,)] = store._database.rows("SELECT total(n_samples) FROM utterances")
        assert seconds(whole).get("speech", 0) == n_samples / 16_000
        if whole.spans:
            first_ns = whole.spans[0].start_ns
            start_ns, end_ns = first_ns + from_s * S, first_ns + (from_s + duration_s) * S
            part = account(machine, start_ns, end_ns)
            assert sum(part.totals_ns.values()) + part.outside_ns == duration_s * S
            # A part of the account is the account of that part.
            for kind, total_ns in part.totals_ns.items():
                assert total_ns == sum(
                    max(0, min(span.end_ns, end_ns) - max(span.start_ns, start_ns))
                    for span in whole.spans
                    if span.kind is kind
                )


@given(
    st.lists(
        st.builds(
            lambda start, length, kind: Span(start, start + length, kind),
            st.integers(0, 100),
            st.integers(0, 50),
            st.sampled_from(SpanKind),
        )
    )
)
def test_spans_laid_over_one_another_show_the_strongest_of_each_moment(spans):
    seen = filled(flattened(spans), "")
    strongest_first = ("speech", "muted", "overflow", "no_device", "not_speech", "not_running")
    for moment in range(160):
        over = {span.kind for span in spans if span.start_ns <= moment < span.end_ns}
        shown = [span.kind for span in seen if span.start_ns <= moment < span.end_ns]
        assert len(shown) <= 1
        if over:
            assert shown == [min(over, key=strongest_first.index)]
