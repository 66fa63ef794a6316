"""`make ship`: the export image and a bundle to the host with the accelerator; not a stage."""
