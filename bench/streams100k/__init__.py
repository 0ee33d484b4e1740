"""A load of its own: very many streams on one machine, on a hub with workers."""
