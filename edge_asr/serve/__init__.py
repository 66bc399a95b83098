"""The server: a page, an API and a feed of events, for people and other systems.

It is a reader of the store like any other, in a process of its own. ::

    sockets.py       where it listens             connections.py   clients who are slow, or too many
    access.py        who may come in              bounds.py        how much and how slowly is sent
    readers.py       connections to the log       problems.py      errors as answers
    asked.py         what a query asks for        reading.py       the log, read
    following.py     the feed of events           live.py          what happens at this moment
    condition.py     how the appliance is         correcting.py    a person's corrections
    scraping.py      metrics                      models.py        what files are transcribed with
    uploads.py       files that clients send      transcribing.py  their queue; its process: _child
    transcription_form.py, transcription_answers.py, transcriptions.py     OpenAI's way to ask
    openapi.py       the API's description        page/            what a browser shows
    app.py           puts it all together         server.py        runs it
"""
