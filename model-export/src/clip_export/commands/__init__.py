"""What the commands do. Apart from `cli`, so that `--help` need not wait for PyTorch to load."""
