"""Several machines, really: gateways, workers and Redis in network namespaces, and what breaks."""
