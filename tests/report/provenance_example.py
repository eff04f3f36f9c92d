"""The provenance of a run that never was."""

PROVENANCE = {
    "parameters": {"seed": 0},
    "seed": 0,
    "data": "simulated",
    "version": "0.1.0",
    "commit": "0123456789",
    "device": "a test's device",
    "libraries": {"python": "3.11"},
    "time_utc": "2026-01-02T03:04:05+00:00",
}
