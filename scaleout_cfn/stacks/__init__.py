"""The nested stacks, one module each: one `build` and one `Outputs`. `root` wires them together."""
