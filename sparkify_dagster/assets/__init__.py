"""The software-defined assets: what is built, from what, in which order."""
