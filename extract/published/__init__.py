"""Features that others published become shards (`aadc-import`), a run's own a folder that others read (`aadc-export`)."""
