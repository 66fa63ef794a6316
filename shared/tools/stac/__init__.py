"""Networks as items of a SpatioTemporal Asset Catalog (STAC), as its extension for models asks."""
