"""The corpus with Apache Beam: counted and encoded by many machines, byte for byte as on one."""
