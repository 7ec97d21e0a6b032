"""From a run's records to a static site: bake it, check it, serve it. Never torch."""
