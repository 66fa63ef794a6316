"""Training on torch and Lightning, for the stages that train. The contract never imports it."""
