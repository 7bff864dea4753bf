"""Chinese for sentences that stand in English at their place, by code."""
