"""Messages through a pipe."""

from hypothesis import given
from hypothesis import strategies as st

from edge_asr.capture import wire


@given(
    st.lists(st.tuples(st.sampled_from([wire.OPENED, wire.FAILED]), st.binary(max_size=300))),
    st.integers(1, 64),
)
def test_messages_come_out_as_they_went_in_however_the_pipe_cuts_them(messages, piece):
    stream = b"".join(wire.message(kind, payload) for kind, payload in messages)
    reader = wire.MessageReader()
    received = [
        message
        for at in range(0, len(stream), piece)
        for message in reader.feed(stream[at : at + piece])
    ]
    assert received == messages


def test_frames_come_out_as_they_went_in():
    frames = wire.PcmFrames(2**62 + 1, 3, True, b"\x01\x02\x03\x04\x05\x06")
    [(kind, payload)] = wire.MessageReader().feed(wire.frames_message(frames))
    assert kind == wire.FRAMES
    assert wire.frames_of(payload) == frames
