"""One scorer, the Spark job and the direct consumer around it."""
