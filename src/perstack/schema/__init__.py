"""What things are: the data of Perstack, and nothing that acts on it.

Structs are frozen, camelCase on the wire, and refuse fields they do not know.
"""
