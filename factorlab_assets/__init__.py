"""FactorLab: from daily closes to factor portfolios that can be believed."""
