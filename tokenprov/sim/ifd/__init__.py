"""The IFD handler of the virtual readers (C) and how it is built."""
