"""Laws, toys, oracles and the pristine check, for third parties too."""
