from __future__ import annotations

import pytest

from contracts.wires import WIRES, Wire


@pytest.fixture(params=WIRES, ids=lambda wire: wire.name)
def wire(request: pytest.FixtureRequest) -> Wire:
    """Each wire in turn."""
    wire: Wire = request.param
    for module in wire.needs:
        pytest.importorskip(module)
    return wire
