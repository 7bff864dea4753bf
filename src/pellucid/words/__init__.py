"""Floor 0: the words methods speak; no model is ever touched here."""
