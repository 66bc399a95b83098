"""Measurements of what this project makes, beside its peers. Nothing here runs on a device."""
