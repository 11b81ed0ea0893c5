"""The common shape of everything that is written down."""

from __future__ import annotations

from typing import dataclass_transform

import msgspec


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(msgspec.field,))
class Data(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    rename="camel",
    omit_defaults=True,
    forbid_unknown_fields=True,
):
    """A frozen record: camelCase on the wire, defaults left out, unknown fields refused.

    msgspec does not pass `kw_only` on, so that every subclass says it again.
    """
