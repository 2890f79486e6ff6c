"""YAML → checks. A config is data: it is read, checked whole, and only then acted on."""
