"""Load a classifier, split it into features (g) and head (h), check it, train one."""
