import statistics

import procpool


@procpool.task("summary")
def summary(values: list[float]) -> dict[str, float]:
    """The mean of some numbers, and how far they lie from it."""
    return {"mean": statistics.fmean(values), "deviation": statistics.pstdev(values)}


procpool.serve()
