"""Real weights: their statistics, and predicted errors beside measured ones."""
