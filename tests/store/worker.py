"""A listener or a recognizer without sound and model, to be killed: says what was committed.

python -m tests.store.worker listen|recognize STATE NAME SEED
"""

import random
import sys
from pathlib import Path

from edge_asr import clock
from edge_asr.records import EndReason
from edge_asr.store import Store
from tests.store.speech import noise, write_down_first


def acknowledge(*words):
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def listen(store, name, seed):
    rng = random.Random(seed)
    with store.listening(name):
        for utterance in store.utterances.recover().recovered:
            acknowledge("utterance", utterance.uid, utterance.audio_sha256)
        while True:
            recording = store.utterances.begin(name, clock.now())
            n_samples = rng.randint(400, 8_000)
            sound = noise(n_samples, rng.randrange(2**31))
            for start in range(0, n_samples, 1_600):
                recording.append(sound[start : start + 1_600])
            if rng.random() < 0.1:
                recording.discard()
                continue
            utterance = store.utterances.close(
                recording, n_samples=n_samples, reason=EndReason.PAUSE
            )
            acknowledge("utterance", utterance.uid, utterance.audio_sha256)
            store.doorbell.ring()


def recognize(store):
    with store.recognizing():
        while True:
            utterance = store.transcripts.pending()
            if utterance is None:
                store.doorbell.wait(1)
                continue
            store.transcripts.begin_attempt(utterance.utterance_id)
            n_samples = len(store.utterances.waveform(utterance))
            store.transcripts.end_attempt()
            transcript = write_down_first(store, utterance, text=f"{n_samples} samples")
            if transcript is not None:
                acknowledge("transcript", utterance.uid, transcript.version)


if __name__ == "__main__":
    what, state_dir, name, seed = sys.argv[1:]
    with Store.open(Path(state_dir)) as opened:
        if what == "listen":
            listen(opened, name, int(seed))
        else:
            recognize(opened)
