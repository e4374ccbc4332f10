"""One search or one gate over the machines of a ``dask.distributed`` cluster; only ``connecting`` imports that package."""
