"""How long the trip tests go on: EXCHANGE_TRIP_ROUNDS makes every count of repetitions larger, never smaller."""

from __future__ import annotations

import os
from typing import Final

ROUNDS: Final = max(20, int(os.environ.get("EXCHANGE_TRIP_ROUNDS", "0")))
