"""The commands of bin/ that need nothing but tfamt; heavy imports wait until the flags are read."""
