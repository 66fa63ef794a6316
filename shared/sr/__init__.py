"""What super-resolution stages share: bands in and out, weights, the way through a network."""
