"""FactorLab: from daily closes to factor portfolios that can be believed."""

import os

# Before numpy is imported. Covariances of some hundred names gain nothing from threads and lose
# much where cores are busy; and one thread adds up in one order, on whatever machine.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
