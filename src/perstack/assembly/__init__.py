"""The parts put together: from a checked request to a job carried on until it rests.

The command line stands on this; nothing inside does.
"""
