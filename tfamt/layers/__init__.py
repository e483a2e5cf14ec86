"""Keras layers of tfamt, registered for serialisation under "tfamt"."""
