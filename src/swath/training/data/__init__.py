"""Cut and augment crops of labeled scenes for training."""
