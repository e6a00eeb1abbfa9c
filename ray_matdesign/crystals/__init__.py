"""Crystals: the frozen type, its codecs and converters, validity, keys and data sets."""
