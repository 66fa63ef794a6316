"""Tools beside the stages: status, rerun, ship. Nothing else in `shared` imports them."""
