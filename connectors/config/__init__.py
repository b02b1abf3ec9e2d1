"""YAML files to validated configuration, with every fault at its line and column."""
