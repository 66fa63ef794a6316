"""Fixtures of the tests of `ship`."""

from tests.ship.shipment import home, made, sent

__all__ = ["home", "made", "sent"]
