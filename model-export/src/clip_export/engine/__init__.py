"""The engine's own format: what of a checkpoint it runs, its weights, how linears are packed and calibrated."""
