"""Perstack inside another program: `run`, `stream`, `run_sync` and what goes with them.

Nothing here prints, touches a signal or changes what the process shares. Several jobs
may run side by side in one event loop. The event loop is asyncio's.
"""
