"""Hands: keys and buttons that mute, and lights that show whether anything is recorded.

    key.py     a key of a keyboard, a pedal, a presenter     line.py    a GPIO line, in or out
    lights.py  what shows it                                 switch.py  what mutes, and unmutes
    holding.py the loop

It is a process of its own: it flips the switch that listeners look at ten times a second.
"""
