"""Bridges to what a site already has: metrics, and more. Each is off until it is asked for.

They read the store like any other reader, each in a process of its own, and hold up nobody. ::

    metrics.py       how the appliance is and was, in Prometheus' text format
    textfile.py      the same as a file, for a board without an open port
    counted.py       what was counted for it so far
    following.py     reads the log on from a kept position
    messages.py      what is told of it, as JSON
    publishing.py    tells it to an MQTT broker        broker.py          the connection to one
    hooks.py         tells programs of the site        handover.py        one transcript to one
    wyoming_server.py  speech to text for voice assistants  wyoming_client.py  one client of it
    wyoming_events.py  what it says and is asked      ear.py             the sound of one request
    engine.py        a model that is loaded on demand
    home_assistant.py  what Home Assistant is told, so that it shows a device
"""
